using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail;

/// <summary>
/// What Landlock leaves a VMM. The rules come with the plan, before anything of the guest's has run, and for good.
/// </summary>
static class JailRules
{
    const ulong Reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

    const ulong Writing = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE
        | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK
        | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER
        | LANDLOCK_ACCESS_FS_TRUNCATE;

    /// <summary>No program and no device node, wherever it is.</summary>
    const ulong Never = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK
        | LANDLOCK_ACCESS_FS_IOCTL_DEV;

    /// <summary>
    /// The folders of the plan, for what they are granted; opened files need no rule. No TCP, no abstract socket, and
    /// no process outside.
    /// </summary>
    /// <param name="descriptors">In the plan's order.</param>
    public static LandlockRuleset ForPlan(LaunchPlan plan, ReadOnlySpan<FileDescriptor> descriptors)
    {
        // Kernels with that erratum would keep the VMM's own threads from signalling each other.
        ulong signals = LandlockRuleset.ThreadsMaySignalEachOther ? LANDLOCK_SCOPE_SIGNAL : 0;
        LandlockRuleset rules = LandlockRuleset.Create(Reading | Writing | Never,
            LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP,
            LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | signals);
        foreach (GuestFile file in plan.Files)
            if (file.Kind == GuestFileKind.Host)
                rules.Allow(descriptors[file.Descriptor], file.Writable ? Reading | Writing : Reading);
        return rules;
    }
}
