namespace Sandbox.Host;

/// <summary>
/// What Linux added after 6.1, the oldest headers that this project is built with. The ABI test checks each value
/// where the build host's headers know it, and lists the names, so that nothing here goes unchecked everywhere.
/// </summary>
public static unsafe partial class Libc
{
    public const int F_DUPFD_QUERY = 1027;
    public const int F_CREATED_QUERY = 1028;
    public const int F_SEAL_EXEC = 0x20;

    public const int MAP_DROPPABLE = 0x8;
    public const int MFD_NOEXEC_SEAL = 0x8;
    public const int MFD_EXEC = 0x10;
    public const int MADV_GUARD_INSTALL = 102;
    public const int MADV_GUARD_REMOVE = 103;

    public const int RWF_NOAPPEND = 0x20;
    public const int RWF_ATOMIC = 0x40;
    public const int RWF_DONTCACHE = 0x80;
    public const int RWF_NOSIGNAL = 0x100;

    public const int STATX_MNT_ID_UNIQUE = 0x4000;
    public const int STATX_SUBVOL = 0x8000;
    public const int STATX_WRITE_ATOMIC = 0x10000;
    public const int STATX_DIO_READ_ALIGN = 0x20000;

    public const int PR_SET_MDWE = 65;
    public const int PR_GET_MDWE = 66;
    public const int PR_MDWE_REFUSE_EXEC_GAIN = 1;
    public const int PR_SET_MEMORY_MERGE = 67;
    public const int PR_GET_MEMORY_MERGE = 68;
    public const int PR_GET_AUXV = 0x41555856;

    public const int SO_PASSPIDFD = 76;
    public const int SO_PEERPIDFD = 77;
    public const int SCM_PIDFD = 4;

    public const int AT_RSEQ_FEATURE_SIZE = 27;
    public const int AT_RSEQ_ALIGN = 28;

    public const ulong LANDLOCK_ACCESS_FS_REFER = 1 << 13;
    public const ulong LANDLOCK_ACCESS_FS_TRUNCATE = 1 << 14;
    public const ulong LANDLOCK_ACCESS_FS_IOCTL_DEV = 1 << 15;
    public const ulong LANDLOCK_ACCESS_NET_BIND_TCP = 1 << 0;
    public const ulong LANDLOCK_ACCESS_NET_CONNECT_TCP = 1 << 1;
    public const ulong LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0;
    public const ulong LANDLOCK_SCOPE_SIGNAL = 1 << 1;

    public const int SYS_uretprobe = 335;
    public const int SYS_cachestat = 451;
    public const int SYS_fchmodat2 = 452;
    public const int SYS_map_shadow_stack = 453;
    public const int SYS_futex_wake = 454;
    public const int SYS_futex_wait = 455;
    public const int SYS_futex_requeue = 456;
    public const int SYS_statmount = 457;
    public const int SYS_listmount = 458;
    public const int SYS_lsm_get_self_attr = 459;
    public const int SYS_lsm_set_self_attr = 460;
    public const int SYS_lsm_list_modules = 461;
    public const int SYS_mseal = 462;
    public const int SYS_setxattrat = 463;
    public const int SYS_getxattrat = 464;
    public const int SYS_listxattrat = 465;
    public const int SYS_removexattrat = 466;
    public const int SYS_open_tree_attr = 467;
    public const int SYS_file_getattr = 468;
    public const int SYS_file_setattr = 469;
}
