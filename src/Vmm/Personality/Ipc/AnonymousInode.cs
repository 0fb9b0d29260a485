using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>What fstat(2) shows for a file without a name: a pipe, a socket, an eventfd.</summary>
/// <param name="number">Unique in the sandbox; shown as in "pipe:[12]".</param>
/// <param name="references">How many open files share it: both ends of a pipe.</param>
public sealed class AnonymousInode(long number, uint device, uint uid, uint gid, int references = 1)
{
    private readonly long _createdAt = HostClock.RealtimeNanoseconds();
    private int _references = references;

    public long Number { get; } = number;

    /// <summary>One more open file; only while another holds it.</summary>
    public void AddReference() => Interlocked.Increment(ref _references);

    /// <summary>True when the last open file has let go.</summary>
    public bool Release() => Interlocked.Decrement(ref _references) == 0;

    public stat Status(uint mode, long blockSize)
    {
        ulong seconds = (ulong)(_createdAt / 1_000_000_000);
        ulong nanoseconds = (ulong)(_createdAt % 1_000_000_000);
        return new stat
        {
            st_dev = device,
            st_ino = (ulong)Number,
            st_nlink = 1,
            st_mode = mode,
            st_uid = uid,
            st_gid = gid,
            st_blksize = blockSize,
            st_atime = seconds, st_atime_nsec = nanoseconds,
            st_mtime = seconds, st_mtime_nsec = nanoseconds,
            st_ctime = seconds, st_ctime_nsec = nanoseconds,
        };
    }
}
