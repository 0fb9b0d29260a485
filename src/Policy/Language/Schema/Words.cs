namespace Sandbox.Policy.Language;

/// <summary>Files that are made up for the guest.</summary>
public enum GeneratedFile
{
    Passwd,
    Group,
    Hostname,
    Hosts,
    NameServices,
    /// <summary>Where to ask DNS; only in guests that may.</summary>
    Resolver,
}

static class Generated
{
    /// <summary>In the enumeration's order.</summary>
    public static string[] Names { get; } = ["passwd", "group", "hostname", "hosts", "nsswitch", "resolv"];
}

static class NetworkActions
{
    /// <summary>In the order of <see cref="Contract.NetworkAction"/>.</summary>
    public static string[] Names { get; } = ["connect", "listen", "resolve"];
}

static class Comparisons
{
    /// <summary>In the order of <see cref="Contract.Comparison"/>.</summary>
    public static string[] Names { get; } = ["==", "!=", "<", "<=", ">", ">="];
}

public enum DeviceKind
{
    Console,
    Block,
    Network,
    Vsock,
    Random,
    Balloon,
    VirtioConsole,
}

static class DeviceKinds
{
    /// <summary>In the enumeration's order.</summary>
    public static string[] Names { get; } =
        ["console", "block", "network", "vsock", "random", "balloon", "virtio-console"];
}

/// <summary>What stands between a VMM and the host.</summary>
public enum Wall
{
    Namespaces,
    Seccomp,
    Landlock,
    Cgroup,
    NoNetwork,
    UserMapping,
}

public static class Walls
{
    /// <summary>In the enumeration's order.</summary>
    public static string[] Names { get; } =
        ["namespaces", "seccomp", "landlock", "cgroup", "no-network", "user-mapping"];
}

/// <summary>What a policy lets the command line do beyond narrowing it.</summary>
public enum Freedom
{
    /// <summary>Limits above the policy's.</summary>
    RaiseLimits,
    /// <summary>Host files shown read-only.</summary>
    Mount,
    /// <summary>Host files that the guest may change.</summary>
    MountWritable,
    Environment,
    /// <summary>Another user or host name.</summary>
    Identity,
}

public static class Freedoms
{
    /// <summary>In the enumeration's order.</summary>
    public static string[] Names { get; } = ["raise-limits", "mount", "mount-writable", "environment", "identity"];
}
