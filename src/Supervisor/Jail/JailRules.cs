using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail;

/// <summary>
/// What Landlock leaves a VMM. It is restricted twice: before its program is executed, by what no VMM ever does; and
/// by itself once its plan has arrived, to the folders that the plan grants. Either holds for good.
/// </summary>
static class JailRules
{
    const ulong Reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

    const ulong Writing = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE
        | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO
        | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE;

    const ulong Never = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK
        | LANDLOCK_ACCESS_FS_IOCTL_DEV;

    /// <summary>No device node, no program but its own, no TCP, no abstract socket and no process outside.</summary>
    public static LandlockRuleset ForEveryVmm(FileDescriptor program)
    {
        // Any ruleset forbids moving files to other folders, unless it is handled and allowed: everywhere, as far as this
        // one is concerned.
        LandlockRuleset rules = LandlockRuleset.Create(Never | LANDLOCK_ACCESS_FS_REFER,
            LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP,
            LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL);
        rules.Allow(program, LANDLOCK_ACCESS_FS_EXECUTE);
        using FileDescriptor root = FileDescriptor.Open("/", O_PATH | O_DIRECTORY);
        rules.Allow(root, LANDLOCK_ACCESS_FS_REFER);
        return rules;
    }

    /// <summary>The folders of the plan, for what they are granted. Opened files need no rule.</summary>
    /// <param name="descriptors">In the plan's order.</param>
    public static LandlockRuleset ForPlan(LaunchPlan plan, ReadOnlySpan<FileDescriptor> descriptors)
    {
        LandlockRuleset rules = LandlockRuleset.Create(Reading | Writing);
        foreach (GuestFile file in plan.Files)
            if (file.Kind == GuestFileKind.Host)
                rules.Allow(descriptors[file.Descriptor], file.Writable ? Reading | Writing : Reading);
        return rules;
    }
}
