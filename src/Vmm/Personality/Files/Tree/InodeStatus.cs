using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>What stat(2) and statx(2) tell of an inode, as the guest is to see it.</summary>
public struct InodeStatus
{
    public ulong Device;
    public ulong Number;
    /// <summary>The device a device node stands for (st_rdev).</summary>
    public ulong SpecialDevice;
    /// <summary>S_IFMT type and permission bits.</summary>
    public uint Mode;
    public uint Links;
    public uint Uid;
    public uint Gid;
    public long Size;
    public uint BlockSize;
    /// <summary>In units of 512 bytes.</summary>
    public long Blocks;
    public timespec AccessTime;
    public timespec ModifyTime;
    public timespec ChangeTime;
    public timespec BirthTime;

    public readonly void ToStat(out stat status)
    {
        status = default;
        status.st_dev = Device;
        status.st_ino = Number;
        status.st_nlink = Links;
        status.st_mode = Mode;
        status.st_uid = Uid;
        status.st_gid = Gid;
        status.st_rdev = SpecialDevice;
        status.st_size = Size;
        status.st_blksize = BlockSize;
        status.st_blocks = Blocks;
        status.st_atime = (ulong)AccessTime.tv_sec;
        status.st_atime_nsec = (ulong)AccessTime.tv_nsec;
        status.st_mtime = (ulong)ModifyTime.tv_sec;
        status.st_mtime_nsec = (ulong)ModifyTime.tv_nsec;
        status.st_ctime = (ulong)ChangeTime.tv_sec;
        status.st_ctime_nsec = (ulong)ChangeTime.tv_nsec;
    }

    /// <summary>Everything that is known, whatever was asked for: statx(2) allows more than the mask.</summary>
    /// <param name="mountId">stx_mnt_id, or 0 when the file is in no mount.</param>
    public readonly void ToStatx(int mountId, out statx status)
    {
        status = default;
        status.stx_mask = STATX_BASIC_STATS;
        status.stx_blksize = BlockSize;
        status.stx_nlink = Links;
        status.stx_uid = Uid;
        status.stx_gid = Gid;
        status.stx_mode = (ushort)Mode;
        status.stx_ino = Number;
        status.stx_size = (ulong)Size;
        status.stx_blocks = (ulong)Blocks;
        status.stx_atime = Convert(AccessTime);
        status.stx_mtime = Convert(ModifyTime);
        status.stx_ctime = Convert(ChangeTime);
        if (BirthTime.tv_sec != 0 || BirthTime.tv_nsec != 0)
        {
            status.stx_mask |= STATX_BTIME;
            status.stx_btime = Convert(BirthTime);
        }
        status.stx_rdev_major = major(SpecialDevice);
        status.stx_rdev_minor = minor(SpecialDevice);
        status.stx_dev_major = major(Device);
        status.stx_dev_minor = minor(Device);
        if (mountId != 0)
        {
            status.stx_mask |= STATX_MNT_ID;
            status.stx_mnt_id = (ulong)mountId;
        }
    }

    /// <summary>For files that only know their struct stat: pipes, sockets and the like.</summary>
    public static InodeStatus FromStat(in stat status) => new()
    {
        Device = status.st_dev,
        Number = status.st_ino,
        SpecialDevice = status.st_rdev,
        Mode = status.st_mode,
        Links = (uint)status.st_nlink,
        Uid = status.st_uid,
        Gid = status.st_gid,
        Size = status.st_size,
        BlockSize = (uint)status.st_blksize,
        Blocks = status.st_blocks,
        AccessTime = new() { tv_sec = (long)status.st_atime, tv_nsec = (long)status.st_atime_nsec },
        ModifyTime = new() { tv_sec = (long)status.st_mtime, tv_nsec = (long)status.st_mtime_nsec },
        ChangeTime = new() { tv_sec = (long)status.st_ctime, tv_nsec = (long)status.st_ctime_nsec },
    };

    private static statx_timestamp Convert(timespec time) =>
        new() { tv_sec = time.tv_sec, tv_nsec = (uint)time.tv_nsec };
}

/// <summary>What chmod, chown and utimensat change; members that are null stay as they are.</summary>
public struct StatusChange
{
    /// <summary>The twelve permission bits.</summary>
    public uint? Permissions;
    public uint? Uid;
    public uint? Gid;
    public timespec? AccessTime;
    public timespec? ModifyTime;
}
