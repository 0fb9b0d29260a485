using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Loader;
using Sandbox.Vmm.Personality.Processes;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// execve(2) and execveat(2): reading the arguments. What they do is in Execution.
static partial class ProcessCalls
{
    private static void RegisterExecution(SystemCallTable table)
    {
        table.Add(SYS_execve, "execve", Execve, "path argv ptr", atExit: true);
        table.Add(SYS_execveat, "execveat", Execveat, "dirfd path argv ptr flags:at", atExit: true);
    }

    private static long Execve(GuestThread thread, in SystemCallArguments a) =>
        Execute(thread, AT_FDCWD, a.A0, a.A1, a.A2, 0);

    private static long Execveat(GuestThread thread, in SystemCallArguments a)
    {
        if ((a.Int4 & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) != 0)
            return -EINVAL;
        return Execute(thread, a.Int0, a.A1, a.A2, a.A3, a.Int4);
    }

    private static long Execute(
        GuestThread thread, int directory, ulong pathAddress, ulong argv, ulong envp, int flags)
    {
        AddressSpace memory = thread.Memory;
        Span<byte> buffer = stackalloc byte[PATH_MAX];
        int length = memory.ReadString(new VirtualAddress(pathAddress), buffer);
        if (length < 0)
            return length;
        if (length == 0 && (flags & AT_EMPTY_PATH) == 0)
            return -ENOENT;
        ulong limit = ArgumentList.Limit(thread.Process.Limits.Soft(RLIMIT_STACK));
        KernelMemory budget = thread.Personality.ArgumentMemory;
        long error = ArgumentList.Read(memory, new VirtualAddress(argv), ref limit, budget, out ArgumentList arguments);
        if (error != 0)
            return error;
        error = ArgumentList.Read(memory, new VirtualAddress(envp), ref limit, budget, out ArgumentList environment);
        if (error != 0)
        {
            arguments.Release();
            return error;
        }
        return Execution.Execute(thread, directory, buffer[..length].ToArray(), arguments, environment, flags);
    }
}
