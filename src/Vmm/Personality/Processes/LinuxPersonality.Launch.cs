using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Loader;
using Sandbox.Vmm.Personality.Processes;
using Sandbox.Vmm.Personality.Trace;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

// Starting the guest's first process.
public sealed partial class LinuxPersonality
{
    private const string DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    /// <summary>Records what the guest does, one line per call, to a descriptor that stays the caller's.</summary>
    public void TraceTo(Host.FileDescriptor output) => Tracer = new Tracer(output, this);

    /// <summary>Makes the first process, without a program yet.</summary>
    /// <param name="descriptors">Its descriptors, with the standard streams in place.</param>
    public GuestThread CreateFirstProcess(DescriptorTable descriptors, FileSystemContext fileSystem)
    {
        int pid = ReservePid();
        if (pid != FirstPid)
            throw new InvalidOperationException("the first process has been made already");
        Process process = new(this, pid)
        {
            Descriptors = descriptors,
            FileSystem = fileSystem,
            Credentials = Credentials.Of(Plan.User.Uid, Plan.User.Gid),
            StartedAt = Clock.Monotonic,
        };
        SetInitialLimits(process.Limits, descriptors.Limit);
        GuestThread thread = new(process, pid, Platform.RentCpu());
        lock (TaskLock)
        {
            process.JoinGroup(CreateGroup(pid, new Session(SandboxPid)));
            process.AddThread(thread);
            AddTask(thread);
        }
        return thread;
    }

    private void SetInitialLimits(ResourceLimits limits, int openFiles)
    {
        const ulong softOpenFiles = 1024;
        limits.Set(RLIMIT_NOFILE, Math.Min(softOpenFiles, (ulong)openFiles), (ulong)openFiles);
        limits.Set(RLIMIT_NPROC, (ulong)Plan.Limits.Processes, (ulong)Plan.Limits.Processes);
        limits.Set(RLIMIT_SIGPENDING, QueuedSignalLimit, QueuedSignalLimit);
        limits.Set(RLIMIT_MSGQUEUE, 819200, 819200);
        limits.Set(RLIMIT_NICE, 0, 0);
        limits.Set(RLIMIT_RTPRIO, 0, 0);
        limits.Set(RLIMIT_MEMLOCK, 8 << 20, 8 << 20);
        limits.Set(RLIMIT_CORE, 0, ResourceLimits.Infinity);
    }

    /// <summary>
    /// Loads the plan's program into the first process and starts it. When that is not possible the guest ends with
    /// the reason: see <see cref="WaitForEnd"/>.
    /// </summary>
    public void Start(GuestThread thread)
    {
        byte[] program = Encoding.UTF8.GetBytes(Plan.Arguments[0]);
        ArgumentList arguments = new(), environment = new();
        bool fits = true;
        foreach (string argument in Plan.Arguments)
            fits &= arguments.Add(Encoding.UTF8.GetBytes(argument)) == 0;
        foreach (string variable in Plan.Environment)
            fits &= environment.Add(Encoding.UTF8.GetBytes(variable)) == 0;
        if (!fits)
        {
            AbandonFirst(thread, -E2BIG, ExecFailure.ArgumentsTooLong);
            return;
        }
        long error = LoadFirst(thread, program, arguments, environment, out LoadedProgram? loaded, out ExecFailure reason);
        if (error != 0)
        {
            AbandonFirst(thread, error, reason);
            return;
        }
        Process process = thread.Process;
        process.ExecutableFile = loaded!.Executable;
        process.ArgumentArea = (loaded.ArgumentsStart, loaded.ArgumentsEnd);
        process.EnvironmentArea = (loaded.EnvironmentStart, loaded.EnvironmentEnd);
        process.AuxiliaryVector = loaded.AuxiliaryVector;
        process.Program = loaded;
        process.HasExecuted = true;
        thread.Name = Encoding.Latin1.GetString(loaded.CommandName);
        Tracer?.Started(thread, Plan.Arguments, Plan.Environment.Length);
        StartAt(thread, loaded.Memory, loaded.EntryPoint, loaded.StackPointer);
    }

    /// <summary>Starts the first process's thread in an address space that is ready.</summary>
    internal void StartAt(GuestThread thread, AddressSpace memory, ulong entryPoint, ulong stackPointer)
    {
        thread.Process.Memory = memory;
        thread.InitialState = GuestThread.StateFor(entryPoint, stackPointer);
        StartClocks();
        HostThreads.Worker worker = HostThreads.Rent()
            ?? throw new InvalidOperationException("the host gives no thread for the first process");
        worker.Start(thread);
    }

    private void AbandonFirst(GuestThread thread, long error, ExecFailure reason)
    {
        lock (TaskLock)
            _liveThreads--;
        Platform.ReturnCpu(thread.Cpu);
        int errno = (int)-error;
        if (errno is ENOENT && reason is ExecFailure.None)
            End(EndCause.NotFound, errno, 0);
        else
            End(EndCause.NotExecutable, errno, (long)(reason == ExecFailure.None ? ReasonFor(errno) : reason));
    }

    private static ExecFailure ReasonFor(int errno) => errno switch
    {
        EACCES or EPERM => ExecFailure.PermissionDenied,
        E2BIG => ExecFailure.ArgumentsTooLong,
        ENOMEM => ExecFailure.TooLarge,
        _ => ExecFailure.NotAnExecutable,
    };

    /// <summary>Looks a name without a slash up in the guest's PATH, as execvp(3) does.</summary>
    private long LoadFirst(
        GuestThread thread, byte[] program, ArgumentList arguments, ArgumentList environment,
        out LoadedProgram? loaded, out ExecFailure reason)
    {
        loaded = null;
        reason = ExecFailure.None;
        if (program.Length == 0)
            return -ENOENT;
        if (program.AsSpan().Contains((byte)'/'))
            return Execution.Load(thread, AT_FDCWD, program, arguments, environment, 0, out loaded, out reason);
        const string variable = "PATH=";
        string path = Array.FindLast(Plan.Environment, static v => v.StartsWith(variable, StringComparison.Ordinal))
            is { } value ? value[variable.Length..] : DefaultPath;
        long outcome = -ENOENT;
        foreach (string directory in path.Split(':'))
        {
            // An empty entry is the working directory.
            byte[] candidate = [.. Encoding.UTF8.GetBytes(directory.Length == 0 ? "." : directory), (byte)'/', .. program];
            long error = Execution.Load(
                thread, AT_FDCWD, candidate, arguments, environment, 0, out loaded, out ExecFailure why);
            if (error == 0)
                return 0;
            if (error is -ENOENT or -ENOTDIR && why == ExecFailure.None)
                continue;
            if (outcome == -ENOENT)
            {
                outcome = error;
                reason = why;
            }
            // Only a missing permission lets the search go on.
            if (error != -EACCES)
                break;
        }
        return outcome;
    }
}
