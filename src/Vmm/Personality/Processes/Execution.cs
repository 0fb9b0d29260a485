using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Loader;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.SystemCalls;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Processes;

/// <summary>
/// Replacing a process's program (execve(2)). Whatever can fail happens first, on a new address space; then the other
/// threads are ended and the process takes the new program on.
/// </summary>
static class Execution
{
    /// <summary>The lists are given back when the program has been loaded, or has not.</summary>
    /// <returns><see cref="Restart.KeepRegisters"/> in the new program, or a negative errno in the old one.</returns>
    public static long Execute(
        GuestThread thread, int directory, byte[] path, ArgumentList arguments, ArgumentList environment, int flags)
    {
        long error = Load(
            thread, directory, path, arguments, environment, flags, out LoadedProgram? program, out _);
        arguments.Release();
        environment.Release();
        if (error != 0)
            return error;
        if (!EndOtherThreads(thread))
        {
            program!.Discard();
            // Never seen: the thread is on its way out.
            return Restart.NoInterrupt;
        }
        Adopt(thread, program!);
        StartFresh(thread);
        thread.EnterProgram(program!);
        return Restart.KeepRegisters;
    }

    /// <summary>Opens and loads a program with the thread's rights.</summary>
    public static long Load(
        GuestThread thread, int directory, byte[] path, ArgumentList arguments, ArgumentList environment, int flags,
        out LoadedProgram? program, out ExecFailure reason)
    {
        program = null;
        reason = ExecFailure.None;
        VirtualFileSystem files = thread.Personality.Files;
        long error = files.OpenExecutable(thread, directory, path, flags, out OpenFile? file);
        if (error == -EISDIR)
        {
            // Linux does not tell a folder from a file that may not be executed; the operator is told.
            reason = ExecFailure.IsDirectory;
            return -EACCES;
        }
        if (error != 0)
            return error;
        Process process = thread.Process;
        LoadRequest request = new()
        {
            File = file!,
            Path = NameOf(directory, path),
            Arguments = arguments,
            Environment = environment,
            Credentials = process.Credentials,
            StackLimit = process.Limits.Soft(RLIMIT_STACK),
            FixedLayout = (process.PersonalityFlags & ADDR_NO_RANDOMIZE) != 0,
        };
        error = thread.Personality.Loader.Load(request, new Opener(thread), out program, out reason);
        file!.Release();
        return error;
    }

    /// <summary>What a script's interpreter is told: for execveat, a name below /dev/fd.</summary>
    private static byte[] NameOf(int directory, byte[] path)
    {
        if (directory == AT_FDCWD || (path.Length > 0 && path[0] == '/'))
            return path;
        string prefix = path.Length == 0 ? $"/dev/fd/{directory}" : $"/dev/fd/{directory}/";
        return [.. Encoding.ASCII.GetBytes(prefix), .. path];
    }

    private sealed class Opener(GuestThread thread) : IExecutableOpener
    {
        public long OpenExecutable(ReadOnlySpan<byte> path, out OpenFile? file) =>
            thread.Personality.Files.OpenExecutable(thread, AT_FDCWD, path, 0, out file);
    }

    /// <summary>
    /// Makes the caller the only thread, and its tid the pid. False when the process, or this thread, is being ended.
    /// </summary>
    private static bool EndOtherThreads(GuestThread thread)
    {
        Process process = thread.Process;
        LinuxPersonality personality = thread.Personality;
        lock (personality.TaskLock)
        {
            if (thread.MustExit || process.IsGroupExiting || process.ExecutingThread is not null)
                return false;
            process.ExecutingThread = thread;
            process.EndThreads(except: thread);
        }
        while (true)
        {
            lock (personality.TaskLock)
            {
                if (thread.MustExit)
                {
                    process.ExecutingThread = null;
                    return false;
                }
                if (process.ThreadCount == 1)
                {
                    process.ExecutingThread = null;
                    personality.Promote(thread);
                    return true;
                }
            }
            thread.Parker.Park(Waiting.Parker.Forever);
        }
    }

    private static void Adopt(GuestThread thread, LoadedProgram program)
    {
        Process process = thread.Process;
        LinuxPersonality personality = thread.Personality;
        process.UpdatePeakResident();
        thread.LeaveMemory();
        AddressSpace oldMemory = process.Memory;
        OpenFile? oldExecutable = process.ExecutableFile;
        lock (personality.TaskLock)
        {
            process.Memory = program.Memory;
            process.ExecutableFile = program.Executable;
            process.ArgumentArea = (program.ArgumentsStart, program.ArgumentsEnd);
            process.EnvironmentArea = (program.EnvironmentStart, program.EnvironmentEnd);
            process.AuxiliaryVector = program.AuxiliaryVector;
            process.Program = program;
            process.HasExecuted = true;
            process.Dumpable = 1;
            thread.Name = Encoding.Latin1.GetString(program.CommandName);
        }
        thread.Cpu.Attach(program.Memory);
        oldMemory.Release();
        oldExecutable?.Release();
    }

    /// <summary>What does not survive execve: handlers, the alternate stack, timers, close-on-exec descriptors.</summary>
    private static void StartFresh(GuestThread thread)
    {
        Process process = thread.Process;
        LinuxPersonality personality = thread.Personality;
        lock (personality.TaskLock)
            process.Actions = process.Actions.CopyIgnored();
        thread.AlternateStack = new() { ss_flags = SS_DISABLE };
        thread.RestartFunction = null;
        process.StopTimers(atEnd: false);
        process.ExitSignal = SIGCHLD;
        process.UnshareDescriptors();
        process.Descriptors.CloseRange(process, 0, int.MaxValue, onlyCloseOnExec: true);
    }
}
