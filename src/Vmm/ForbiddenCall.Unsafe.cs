using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm;

/// <summary>Has a system call that a filter stops named to the supervisor before the process ends.</summary>
static unsafe class ForbiddenCall
{
    /// <summary>Before the filters are put on: they allow neither executable memory nor another handler.</summary>
    /// <exception cref="HostException">The host refuses an executable page or the handler.</exception>
    public static void Announce()
    {
        // For as long as the process lives.
        ulong handler = (ulong)new MachineCode(ForbiddenCallBytes.Bytes, "SIGSYS handler").Address;
        kernel_sigaction action = new()
        {
            sa_handler = handler,
            sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER,
            // It does not return; the kernel wants one.
            sa_restorer = handler,
            sa_mask = ulong.MaxValue,
        };
        if (syscall(SYS_rt_sigaction, SIGSYS, (nint)(&action), 0, sizeof(ulong)) != 0)
            throw HostException.Last("rt_sigaction", "SIGSYS");
    }
}
