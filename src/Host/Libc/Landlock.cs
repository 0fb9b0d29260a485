using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>A rule on everything beneath a folder: linux/landlock.h.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct landlock_path_beneath_attr
{
    public ulong allowed_access;
    public int parent_fd;
}

/// <summary>Landlock: linux/landlock.h, landlock(7). Answer a descriptor or 0, or -1 with errno.</summary>
public static unsafe partial class Libc
{
    public const int LANDLOCK_CREATE_RULESET_VERSION = 1;
    public const int LANDLOCK_CREATE_RULESET_ERRATA = 2;
    public const int LANDLOCK_RULE_PATH_BENEATH = 1;

    public const ulong LANDLOCK_ACCESS_FS_EXECUTE = 1 << 0;
    public const ulong LANDLOCK_ACCESS_FS_WRITE_FILE = 1 << 1;
    public const ulong LANDLOCK_ACCESS_FS_READ_FILE = 1 << 2;
    public const ulong LANDLOCK_ACCESS_FS_READ_DIR = 1 << 3;
    public const ulong LANDLOCK_ACCESS_FS_REMOVE_DIR = 1 << 4;
    public const ulong LANDLOCK_ACCESS_FS_REMOVE_FILE = 1 << 5;
    public const ulong LANDLOCK_ACCESS_FS_MAKE_CHAR = 1 << 6;
    public const ulong LANDLOCK_ACCESS_FS_MAKE_DIR = 1 << 7;
    public const ulong LANDLOCK_ACCESS_FS_MAKE_REG = 1 << 8;
    public const ulong LANDLOCK_ACCESS_FS_MAKE_SOCK = 1 << 9;
    public const ulong LANDLOCK_ACCESS_FS_MAKE_FIFO = 1 << 10;
    public const ulong LANDLOCK_ACCESS_FS_MAKE_BLOCK = 1 << 11;
    public const ulong LANDLOCK_ACCESS_FS_MAKE_SYM = 1 << 12;

    /// <param name="attributes">
    /// struct landlock_ruleset_attr, which grows: handled_access_fs, handled_access_net (version 4), scoped (version
    /// 6). Null to ask for the version.
    /// </param>
    public static int landlock_create_ruleset(ulong* attributes, nuint size, uint flags) =>
        (int)syscall(SYS_landlock_create_ruleset, (nint)attributes, (nint)size, (nint)flags);

    public static int landlock_add_rule(int ruleset, int kind, void* attributes, uint flags) =>
        (int)syscall(SYS_landlock_add_rule, ruleset, kind, (nint)attributes, (nint)flags);

    public static int landlock_restrict_self(int ruleset, uint flags) =>
        (int)syscall(SYS_landlock_restrict_self, ruleset, (nint)flags);
}
