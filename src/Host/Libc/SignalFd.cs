using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>A signal read from a signalfd(2), 128 bytes: linux/signalfd.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct signalfd_siginfo
{
    public uint ssi_signo;
    public int ssi_errno;
    public int ssi_code;
    public uint ssi_pid;
    public uint ssi_uid;
    public int ssi_fd;
    public uint ssi_tid;
    public uint ssi_band;
    public uint ssi_overrun;
    public uint ssi_trapno;
    public int ssi_status;
    public int ssi_int;
    public ulong ssi_ptr;
    public ulong ssi_utime;
    public ulong ssi_stime;
    public ulong ssi_addr;
    public ushort ssi_addr_lsb;
    public ushort __pad2;
    public int ssi_syscall;
    public ulong ssi_call_addr;
    public uint ssi_arch;
    public fixed byte __pad[28];
}

/// <summary>Head of an event read from an inotify(7) descriptor; len bytes of name follow: linux/inotify.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct inotify_event
{
    public int wd;
    public uint mask;
    public uint cookie;
    public uint len;
}
