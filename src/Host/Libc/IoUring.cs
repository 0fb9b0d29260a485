using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>Where the parts of a submission ring are, in bytes from its mapping's start: linux/io_uring.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct io_sqring_offsets
{
    public uint head;
    public uint tail;
    public uint ring_mask;
    public uint ring_entries;
    public uint flags;
    public uint dropped;
    public uint array;
    private readonly uint _resv1;
    private readonly ulong _resv2;
}

/// <summary>Where the parts of a completion ring are, in bytes from its mapping's start: linux/io_uring.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct io_cqring_offsets
{
    public uint head;
    public uint tail;
    public uint ring_mask;
    public uint ring_entries;
    public uint overflow;
    public uint cqes;
    public uint flags;
    private readonly uint _resv1;
    private readonly ulong _resv2;
}

/// <summary>What a ring is asked to be, and what it is: linux/io_uring.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct io_uring_params
{
    public uint sq_entries;
    public uint cq_entries;
    public uint flags;
    public uint sq_thread_cpu;
    public uint sq_thread_idle;
    public uint features;
    public uint wq_fd;
    private fixed uint _resv[3];
    public io_sqring_offsets sq_off;
    public io_cqring_offsets cq_off;
}

/// <summary>A request, as reads, writes and fsync have it: linux/io_uring.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct io_uring_sqe
{
    public byte opcode;
    public byte flags;
    public ushort ioprio;
    public int fd;
    public ulong off;
    public ulong addr;
    public uint len;

    /// <summary>RWF_* of a read or a write, IORING_FSYNC_* of an fsync.</summary>
    public uint rw_flags;
    public ulong user_data;
    public ushort buf_index;
    public ushort personality;
    public uint file_index;
    public ulong addr3;
    private fixed ulong _pad2[1];
}

/// <summary>A request's end: linux/io_uring.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct io_uring_cqe
{
    public ulong user_data;
    public int res;
    public uint flags;
}

/// <summary>One thing that a ring allows: linux/io_uring.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct io_uring_restriction
{
    public ushort opcode;

    /// <summary>A member of a union: IORING_OP_*, IOSQE_* or IORING_REGISTER_*.</summary>
    public byte sqe_op;
    public byte resv;
    private fixed uint _resv2[3];
}

/// <summary>io_uring(7): linux/io_uring.h. Answer a descriptor or a count, or -1 with errno.</summary>
public static unsafe partial class Libc
{
    public const int IORING_SETUP_R_DISABLED = 1 << 6;

    public const int IORING_FEAT_SINGLE_MMAP = 1 << 0;
    public const int IORING_FEAT_NODROP = 1 << 1;

    public const long IORING_OFF_SQ_RING = 0;
    public const long IORING_OFF_SQES = 0x10000000;

    public const int IORING_OP_NOP = 0;
    public const int IORING_OP_READV = 1;
    public const int IORING_OP_WRITEV = 2;
    public const int IORING_OP_FSYNC = 3;

    public const int IOSQE_FIXED_FILE = 1 << 0;
    public const int IORING_FSYNC_DATASYNC = 1 << 0;

    public const int IORING_ENTER_GETEVENTS = 1 << 0;

    public const int IORING_REGISTER_FILES = 2;
    public const int IORING_REGISTER_RESTRICTIONS = 11;
    public const int IORING_REGISTER_ENABLE_RINGS = 12;
    public const int IORING_REGISTER_IOWQ_MAX_WORKERS = 19;

    public const int IORING_RESTRICTION_SQE_OP = 1;
    public const int IORING_RESTRICTION_SQE_FLAGS_ALLOWED = 2;
    public const int IORING_RESTRICTION_SQE_FLAGS_REQUIRED = 3;

    public static int io_uring_setup(uint entries, io_uring_params* parameters) =>
        (int)syscall(SYS_io_uring_setup, (nint)entries, (nint)parameters);

    public static int io_uring_register(int ring, uint opcode, void* argument, uint count) =>
        (int)syscall(SYS_io_uring_register, ring, (nint)opcode, (nint)argument, (nint)count);

    /// <summary>Without a signal mask.</summary>
    public static int io_uring_enter(int ring, uint submit, uint complete, uint flags) =>
        (int)syscall(SYS_io_uring_enter, ring, (nint)submit, (nint)complete, (nint)flags, 0, 0);
}
