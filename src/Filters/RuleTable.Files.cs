using System.Runtime.CompilerServices;
using Sandbox.Vmm;
using static Sandbox.Filters.Condition;
using static Sandbox.Filters.Rule;
using static Sandbox.Host.Libc;

namespace Sandbox.Filters;

// Granted host files. openat2's flags and mode are in memory, out of a filter's sight: Landlock says what may be
// opened, and the kernel takes the bit of a set-user-ID file that is made so away when bytes are written to it.
static partial class RuleTable
{
    private static readonly Rule[] s_files =
    [
        Allow(Guest, SYS_openat2, "a file beneath a granted folder", [Long(3, OpenHowSize)]),
        Allow(Guest, SYS_statx, "status of files and streams",
            [Int(2, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, AT_EMPTY_PATH)]),
        Allow(Errands, SYS_fstatfs, "statfs(2) of the guest"),
        Allow(Guest, SYS_readlinkat, "symbolic links"),
        Allow(Guest, SYS_getdents64, "lists of folders"),
        Allow(Guest | Streams, SYS_preadv2, "contents of files; a stream that never waits, or has been asked",
            [Int(5, 0)]),
        Allow(Guest, SYS_pwritev2, "contents of files, a stream that is a file", [Int(5, 0, RWF_APPEND)]),
        Allow(Errands, SYS_lseek, "streams that are files; holes of files"),
        Allow(Guest, SYS_fsync, "fsync(2) of the guest"),
        Allow(Guest, SYS_fdatasync, "fdatasync(2) of the guest"),
        Allow(Guest, SYS_syncfs, "sync(2) of the guest"),
        Allow(Guest, SYS_msync, "msync(2) of the guest"),
        Allow(None, SYS_prlimit64, "as many open files as the host allows", [Int(0, 0), Int(1, RLIMIT_NOFILE)]),
        Allow(None, SYS_umask, "the modes of files are the guest's", [Int(0, 0)]),
        Allow(None, SYS_geteuid, "whose files are the guest's"),
        Allow(None, SYS_getegid, "whose files are the guest's"),
        Allow(None, SYS_getgroups, "whose files are the guest's"),
    ];

    /// <summary>Granted folders of which one at least is writable.</summary>
    private static readonly Rule[] s_changes =
    [
        Change(SYS_ftruncate, "lengths of files"),
        Change(SYS_fallocate, "room in files, holes", by: Errands),
        // A folder may keep S_ISGID: whose files are made in it.
        Change(SYS_fchmod, "modes of files and folders, no program's for another user", [Without(1, S_ISUID)]),
        Change(SYS_fchmodat2, "modes of what cannot be opened, and is no folder",
            [Without(2, S_ISUID | S_ISGID), Int(3, AT_SYMLINK_NOFOLLOW)], Errands),
        Change(SYS_utimensat, "times of files", [Int(3, AT_SYMLINK_NOFOLLOW, 0)]),
        Change(SYS_mkdirat, "new folders"),
        Change(SYS_symlinkat, "new symbolic links", by: Errands),
        Change(SYS_linkat, "new names", [Int(4, 0)], Errands),
        Change(SYS_unlinkat, "names that go", [Int(2, 0, AT_REMOVEDIR)]),
        Change(SYS_renameat2, "names that move", [Int(4, 0, RENAME_NOREPLACE, RENAME_EXCHANGE)]),
    ];

    private const ulong OpenHowSize = 24;

    private static Rule Change(
        int number, string reason, Condition[]? conditions = null, ThreadRole by = Guest,
        [CallerArgumentExpression(nameof(number))] string name = "") =>
        Allow(by, number, reason, conditions, name) with { Needs = GuestNeeds.Writing };
}
