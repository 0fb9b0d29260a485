using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// Signals to read instead of to handle: signalfd(2). Shows and takes what is pending for whoever reads or polls it,
/// not for whoever made it.
/// </summary>
/// <param name="memory">Charged <see cref="KernelMemory.ObjectCost"/> by the creator; given back at the end.</param>
public sealed class SignalFile(KernelMemory memory, AnonymousInode inode, ulong mask, int flags)
    : OpenFile(O_RDWR | (flags & SFD_NONBLOCK))
{
    private ulong _mask = Accepted(mask);

    /// <summary>The signals it is for; SIGKILL and SIGSTOP never are.</summary>
    public ulong Mask
    {
        get => Volatile.Read(ref _mask);
        set => Volatile.Write(ref _mask, Accepted(value));
    }

    private static ulong Accepted(ulong mask) => mask & ~SignalSet.Unblockable;

    public override string DisplayName => "anon_inode:[signalfd]";

    public override bool IsMessageBased => true;

    public override PollEvents Poll() => PollEvents.None;

    public override PollEvents Poll(GuestThread thread) =>
        (thread.PendingSet & Mask) != 0 ? PollEvents.Readable : PollEvents.None;

    public override WaitQueue? GetWaiters(GuestThread thread) => thread.Process.SignalWaiters;

    public override long Read(GuestThread thread, Span<byte> buffer)
    {
        Span<signalfd_siginfo> records = MemoryMarshal.Cast<byte, signalfd_siginfo>(buffer);
        if (records.IsEmpty)
            return -EINVAL;
        int count = 0;
        while (count < records.Length && thread.TryTakeSignal(Mask, out siginfo_t info) is > 0 and int signal)
            records[count++] = Convert(signal, info);
        return count > 0 ? count * Marshal.SizeOf<signalfd_siginfo>() : -EAGAIN;
    }

    /// <summary>Which fields count depends on where the signal came from (the kernel's siginfo_layout).</summary>
    internal static signalfd_siginfo Convert(int signal, in siginfo_t info)
    {
        signalfd_siginfo record = new()
        {
            ssi_signo = (uint)signal,
            ssi_errno = info.si_errno,
            ssi_code = info.si_code,
        };
        if (info.si_code == SI_TIMER)
        {
            record.ssi_tid = (uint)info.si_tid;
            record.ssi_overrun = (uint)info.si_overrun;
            record.ssi_ptr = info.si_ptr;
            record.ssi_int = info.si_int;
        }
        else if (info.si_code <= 0 || info.si_code == SI_KERNEL)
        {
            record.ssi_pid = (uint)info.si_pid;
            record.ssi_uid = info.si_uid;
            if (info.si_code < 0)
            {
                record.ssi_ptr = info.si_ptr;
                record.ssi_int = info.si_int;
            }
        }
        else if (signal == SIGCHLD)
        {
            record.ssi_pid = (uint)info.si_pid;
            record.ssi_uid = info.si_uid;
            record.ssi_status = info.si_status;
            record.ssi_utime = (ulong)info.si_utime;
            record.ssi_stime = (ulong)info.si_stime;
        }
        else if (SignalSet.Contains(SignalSet.Synchronous, signal))
        {
            record.ssi_addr = info.si_addr;
        }
        else
        {
            record.ssi_band = (uint)info.si_band;
            record.ssi_fd = info.si_fd;
        }
        return record;
    }

    public override long GetStatus(out stat status)
    {
        status = inode.Status(0x180, 4096);
        return 0;
    }

    protected override void Close() => memory.Release(KernelMemory.ObjectCost);
}
