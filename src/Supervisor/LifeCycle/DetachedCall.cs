using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Launch;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// <c>sandbox run --detach</c>, as the caller sees it: starts this program again, in a session of its own, as the
/// sandbox's supervisor, and returns once that one says that the guest has started.
/// </summary>
static unsafe class DetachedCall
{
    /// <summary>Descriptors from here on are free while the child's script runs.</summary>
    const int FirstFreeDescriptor = DetachedSupervisor.ErrorDescriptor + 1;

    /// <param name="arguments">Of this command line.</param>
    /// <returns>The command line's exit status.</returns>
    /// <exception cref="HostException">The host has no process, memory or descriptor left.</exception>
    public static int Run(string[] arguments)
    {
        using SeqpacketChannel supervisor = Start(arguments);
        DetachedReport report = default;
        bool told;
        try
        {
            told = supervisor.Receive(out report);
        }
        catch (HostException gone) when (gone.Errno is ECONNRESET)
        {
            told = false;
        }

        if (!told)
        {
            StandardStreams.WriteError("the sandbox's supervisor ended before its guest had started; was it killed?");
            return ExitStatus.SandboxFailed;
        }

        if (report.HasStarted == 0)
            return report.Status;
        return StandardStreams.WriteOutput($"{new SandboxId(report.Id)}\n") ? 0 : ExitStatus.SandboxFailed;
    }

    static SeqpacketChannel Start(string[] arguments)
    {
        (FileDescriptor mine, FileDescriptor theirs) = SeqpacketChannel.CreatePair();
        var channel = new SeqpacketChannel(mine);
        try
        {
            using FileDescriptor nowhere =
                FileDescriptor.Open("/dev/null", O_RDWR), itsNowhere = CopyAbove(nowhere.Value);
            using FileDescriptor itsError = CopyAbove(STDERR_FILENO), itsChannel = CopyAbove(theirs.Value);
            // The child has it from here until its execve: as long as the script is waited for.
            using MemoryMapping lists = PlaceLists(
                [CommandModel.ProgramName, DetachedSupervisor.Command, .. arguments], out nint argv,
                out nint environment);
            using ChildScript script = new();
            JailScript.ResetSignals(script);
            OpenFileLimit.Restore(script);
            script.Add("dup2 stdin", SYS_dup2, itsNowhere.Value, STDIN_FILENO);
            script.Add("dup2 stdout", SYS_dup2, itsNowhere.Value, STDOUT_FILENO);
            script.Add("dup2 stderr", SYS_dup2, itsNowhere.Value, STDERR_FILENO);
            script.Add("dup2 report", SYS_dup2, itsChannel.Value, DetachedSupervisor.ReportDescriptor);
            script.Add("dup2 caller's stderr", SYS_dup2, itsError.Value, DetachedSupervisor.ErrorDescriptor);
            script.Add("close_range", SYS_close_range, FirstFreeDescriptor, unchecked((nint)uint.MaxValue));
            script.Add("execve", SYS_execve, script.PlaceText("/proc/self/exe"), argv, environment);
            int error = script.Start(0, cgroup: -1, out int pid, out FileDescriptor? pidfd);
            if (error != 0)
                throw new HostException(-error, "clone3", "a supervisor of its own");
            pidfd!.Dispose();
            script.WaitUntilGone();
            if (script.Failure is (string step, int errno))
            {
                HostProcess.Reap(pid);
                throw new HostException(errno, step, "a supervisor of its own");
            }

            return channel;
        }
        catch
        {
            channel.Dispose();
            throw;
        }
        finally
        {
            theirs.Dispose();
        }
    }

    // Above the numbers that the child gets, so that putting one in place cannot close the other.
    static FileDescriptor CopyAbove(int number)
    {
        int copy = fcntl(number, F_DUPFD_CLOEXEC, FirstFreeDescriptor);
        return copy >= 0 ? new FileDescriptor(copy) : throw HostException.Last("fcntl", "F_DUPFD_CLOEXEC");
    }

    /// <summary>
    /// Arguments, and this process's environment byte for byte, as execve takes them: they may be larger than a script.
    /// </summary>
    static MemoryMapping PlaceLists(string[] arguments, out nint argv, out nint environment)
    {
        byte[] words = Encoding.UTF8.GetBytes(string.Join('\0', arguments) + '\0');
        byte[] variables = File.ReadAllBytes("/proc/self/environ");
        int pointers = (words.Count((byte)0) + variables.Count((byte)0) + 3) * sizeof(nint);
        MemoryMapping lists = MemoryMapping.Map((nuint)(pointers + words.Length + variables.Length + 1),
            PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, what: "arguments and environment");
        nint* next = (nint*)lists.Address;
        byte* text = lists.Address + pointers;
        argv = Place(words);
        environment = Place(variables);
        return lists;

        nint Place(ReadOnlySpan<byte> strings)
        {
            nint first = (nint)next;
            strings.CopyTo(new Span<byte>(text, strings.Length));
            for (int at = 0; at < strings.Length; at += strings[at..].IndexOf((byte)0) + 1)
            {
                *next++ = (nint)(text + at);
                // An environment that was written over may lack the last zero; the mapping has one.
                if (!strings[at..].Contains((byte)0))
                    break;
            }

            *next++ = 0;
            text += strings.Length;
            return first;
        }
    }
}
