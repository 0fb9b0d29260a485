using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>Who may use an object of System V IPC: asm-generic/ipcbuf.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ipc64_perm
{
    public int key;
    public uint uid;
    public uint gid;
    public uint cuid;
    public uint cgid;
    public uint mode;
    public ushort seq;
    private ushort __pad2;
    private ulong __unused1;
    private ulong __unused2;
}

/// <summary>A segment of shared memory: asm-generic/shmbuf.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct shmid64_ds
{
    public ipc64_perm shm_perm;
    public ulong shm_segsz;
    public long shm_atime;
    public long shm_dtime;
    public long shm_ctime;
    public int shm_cpid;
    public int shm_lpid;
    public ulong shm_nattch;
    private ulong __unused4;
    private ulong __unused5;
}

/// <summary>System V IPC: linux/ipc.h, linux/shm.h.</summary>
public static unsafe partial class Libc
{
    public const int IPC_PRIVATE = 0;
    public const int IPC_CREAT = 0x200;
    public const int IPC_EXCL = 0x400;
    public const int IPC_RMID = 0;
    public const int IPC_SET = 1;
    public const int IPC_STAT = 2;
    public const int SHM_LOCK = 11;
    public const int SHM_UNLOCK = 12;
    public const int SHM_HUGETLB = 0x800;
    public const int SHM_RDONLY = 0x1000;
    public const int SHM_RND = 0x2000;
    public const int SHM_REMAP = 0x4000;
    public const int SHM_EXEC = 0x8000;
    public const int SHMMNI = 4096;
}
