namespace Sandbox.Policy.Language;

/// <summary>The language, version 1.</summary>
static class PolicySchema
{
    /// <summary>Far more than any disk does, and the sum of all below what a control group can hold.</summary>
    const long MaximumOperations = 1_000_000;

    const string SizePattern = "^[0-9]+([KMGT](i?B)?|B)?$";
    const string NumberPattern = "^(0x[0-9a-fA-F]+|[0-9]+)$";
    const string MustBeSaid = "none: the policy or what it extends must say it";
    const string TimePattern = "^[0-9]+(ms|s|m|min|h|d)?$";

    public static IReadOnlyList<string> Accesses { get; } = ["read", "write", "execute", "create", "delete"];

    static readonly Schema s_because = new TextSchema("Why this is here, for whoever reviews it.");

    static readonly Schema s_access = new OneOrMoreSchema(
        "What may be done.", new ChoiceSchema(
            "read: open for reading, list, read a link. write: change contents or attributes. execute: run as a "
            + "program, which mapping a file is not. "
            + "create: add a name. delete: take a name away. A rename deletes one name and creates another.",
            [.. Accesses]));

    static readonly Schema s_shownAccess = new OneOrMoreSchema(
        "What may be done, for it and everything below.", new ChoiceSchema(
            "As in rules; or none, alone: it appears, and only rules allow something.",
            [.. Accesses, AccessText.None]));

    static readonly Schema s_patterns = new OneOrMoreSchema(
        "Which paths.", new TextSchema(
            "An absolute guest path, or one that begins with ~ for the guest user's home. * stands for any part of one "
            + "name, ** as a whole name for any number of names, none included.", "^(/|~)", "/work/**/*.o",
            "path pattern"));

    static readonly Schema s_shown = new ObjectSchema(
        "One thing that appears in the guest's file tree. Exactly one of from, memory, text, link, generated and own "
        + "says what. "
        + "Or, with deny in place of path, what does not appear. A deny overrides every entry.",
        new("path", new TextSchema("Where, in the guest.", "^(/|~)", "/data", "guest path")),
        new("deny", new TextSchema(
            "In place of path, with nothing beside but because: at this path and below nothing appears, whatever shows "
                + "it.",
            "^(/|~)", "/data", "guest path")),
        new("from", new TextSchema("A host file or folder.", "^/", "/srv/data", "absolute host path"),
            Default: "the same path"),
        new("memory", new FlagSchema("true: an empty folder in memory, gone at the end.")),
        new("text", new TextSchema("A read-only file with this content.")),
        new("link", new TextSchema("A symbolic link with this target.")),
        new("generated", new ChoiceSchema("A file made up for the guest's user and host name.", Generated.Names)),
        new("own", new FlagSchema("true: the guest's own /proc, /dev or /sys.")),
        new("access", s_shownAccess,
            Default: "read and execute for host files; all for folders in memory and own; read for others"),
        new("mode", new TextSchema("Permission bits of a folder in memory.", "^[0-7]{3,4}$", "1777", "octal digits"),
            Default: "700"),
        new("size", new TextSchema(
            "What a folder in memory may hold, names included at four to a page; a write beyond it answers ENOSPC. It "
            + "counts "
            + "towards guest.tmp-size too.", SizePattern, "16M", "size, at least 4K"),
            Default: "guest.tmp-size alone bounds it"),
        new("quota", new TextSchema(
            "What the guest may add to a host folder or file that it may change; what is beyond answers ENOSPC. "
            + "Lengths count, holes "
            + "too, and names at four to 4K; what the guest takes away of its own is given back.", SizePattern, "100M",
            "size, at least 4K"),
            Default: "what the host has room for"),
        new("rate", new TextSchema(
            "What the guest may read in a second of the disk that a host folder or file lies on, and as much again to "
            + "write. Set in "
            + "its control group, where all else that it does to that disk counts too.", SizePattern, "10M",
            "size, at least 4K"),
            Default: "no limit"),
        new("operations", new NumberSchema(
            "How often the guest may read in a second of that disk, and as often again write. Set there as rate is.", 1,
            MaximumOperations),
            Default: "no limit"),
        new("optional", new FlagSchema(
            "true: nothing appears when the host has no such file; else the start is refused."), Default: "false"),
        new("because", s_because));

    static readonly Schema s_pathRule = new ObjectSchema(
        "A rule on paths, after links are resolved. Exactly one of allow and deny. A deny overrides every allow.",
        new("allow", s_access), new("deny", s_access), new("path", s_patterns, Required: true),
        new("because", s_because));

    static readonly Schema s_protocol = new ChoiceSchema("Which protocol; both when left out.", "tcp", "udp");

    static readonly Schema s_ports = new OneOrMoreSchema(
        "Which ports; all when left out.",
        new TextSchema("A port or a range.", "^[0-9]+(-[0-9]+)?$", "8000-8999", "port or range, 0 to 65535"));

    static readonly Schema s_networkRule = new ObjectSchema(
        "A rule on the network. Exactly one of allow and deny. A deny overrides every allow.",
        new("allow", new ChoiceSchema("What may be done.", NetworkActions.Names)),
        new("deny", new ChoiceSchema("What may not be done.", NetworkActions.Names)),
        new("to", new OneOrMoreSchema(
            "For connect: host names or CIDR blocks. For listen: local addresses. For resolve: names, or *.name for "
                + "all below one; to deny, * for every name.",
            new TextSchema("A host name, an address, or a CIDR block.", null, "192.0.2.0/24",
                "name, address or block")), Required: true),
        new("protocol", s_protocol, Default: "both"), new("port", s_ports, Default: "all"), new("because", s_because));

    static readonly Schema s_condition = new ObjectSchema(
        "A condition on one argument register.",
        new("argument", new NumberSchema("Which argument, from 0.", 0, 5), Required: true),
        new("as", new ChoiceSchema(
            "int: the low 32 bits, as the kernel reads descriptors, flags and commands. long: all 64, for sizes, "
                + "offsets and addresses.",
            "int", "long"), Required: true),
        new("mask", new TextSchema("Bits to look at.", NumberPattern, "0x40", "number, decimal or 0x"),
            Default: "all bits"),
        new("is", new ChoiceSchema("How to compare, unsigned.", Comparisons.Names), Required: true),
        new("value", new TextSchema("What to compare with.", NumberPattern, "0x5401", "number, decimal or 0x"),
            Required: true));

    static readonly Schema s_systemCallRule = new ObjectSchema(
        "A rule on the guest's system calls. Exactly one of allow and deny. A deny overrides every allow.",
        new("allow", new OneOrMoreSchema(
            "Names, numbers, or @groups.", new TextSchema("A call.", null, "@all", "call, number or group"))),
        new("deny", new OneOrMoreSchema(
            "Names, numbers, or @groups.", new TextSchema("A call.", null, "ptrace", "call, number or group"))),
        new("when", new OneOrMoreSchema("The rule holds only if all of these do.", s_condition)),
        new("answer", new TextSchema("For deny: the errno that the call answers, or kill to end the guest.", null,
            "ENOSYS", "errno or kill"), Default: "EPERM"),
        new("because", s_because));

    static readonly Schema s_device = new ObjectSchema(
        "A device of a machine guest. Exactly one of device and deny. A deny overrides every device.",
        new("device", new ChoiceSchema("Which.", DeviceKinds.Names)),
        new("deny", new ChoiceSchema(
            "Which the guest does not have: all of the kind, or with from that one.", DeviceKinds.Names)),
        new("from", new TextSchema("The host file behind it.", "^/", null, "absolute host path")),
        new("writable", new FlagSchema("true: the guest may change what is behind it."), Default: "false"),
        new("rate", new TextSchema("Bytes a second at most, each way.", SizePattern, "10M", "size"), Default: "no limit"),
        new("operations", new NumberSchema(
            "Requests to a disk, or packets, a second at most, each way.", 1, MaximumOperations), Default: "no limit"),
        new("because", s_because));

    static readonly Schema s_guest = new ObjectSchema(
        "What the guest is and may spend.",
        new("kind", Reasoned(new ChoiceSchema(
            "A Linux program, or a machine with a kernel of its own.", "process", "machine")), Default: "process"),
        new("platforms", new OneOrMoreSchema("What may run it.",
            new ChoiceSchema("kvm, or lite without KVM: a weaker wall, refused so far.", "kvm", "lite")), Default: "kvm"),
        new("cpus", Reasoned(new TextSchema("Guest threads that run at the same time, or host for as many as the host "
            + "has.", "^([0-9]+|host)$", "2", "1 to 256, or host")), Default: MustBeSaid),
        new("memory", Reasoned(new TextSchema(
            "Guest memory, in-memory files included. A host with less than twice as much gives half of what it has.",
            SizePattern, "1G", "size, at least 4M")), Default: MustBeSaid),
        new("time", Reasoned(new TextSchema("Wall-clock limit.", $"({TimePattern})|^none$", "1h", "time, or none")),
            Default: MustBeSaid),
        new("cpu-time", Reasoned(new TextSchema(
            "CPU time over all threads.", $"({TimePattern})|^none$", "10m", "time, or none")), Default: MustBeSaid),
        new("processes", Reasoned(new TextSchema(
            "Processes and threads alive at once.", "^[0-9]+$", "256", "1 to 4096")), Default: MustBeSaid),
        new("open-files", Reasoned(new TextSchema(
            "Open descriptors in each process.", "^[0-9]+$", "4096", "3 to 1048576")), Default: MustBeSaid),
        new("output", Reasoned(new TextSchema("Bytes to stdout and stderr together.", $"({SizePattern})|^none$", "256M",
            "size, or none")), Default: MustBeSaid),
        new("tmp-size", Reasoned(new TextSchema("Bytes in all folders in memory together. half: half of the memory.",
            $"({SizePattern})|^half$", "64M", "size, or half")), Default: MustBeSaid),
        new("user", Reasoned(new TextSchema("The guest's user; no right on the host comes with it.", null, "alice",
            "NAME, UID or UID:GID")), Default: "sandbox"),
        new("hostname", Reasoned(new TextSchema("The guest's host name.", null, "builder", "host name")),
            Default: "sandbox"),
        new("environment",
            new DictionarySchema("Variables and their values. ~ at the beginning of a value is the guest user's home.",
            new TextSchema("The value.", null, "~/cache"))),
        new("pass-environment", new OneOrMoreSchema("Variables of the caller that are passed on when they are set.",
            Reasoned(new TextSchema("A name.", null, "LANG", "name")))),
        new("deny-environment", new OneOrMoreSchema(
            "Variables that the guest does not get, whoever sets or passes them.",
            Reasoned(new TextSchema("A name.", null, "TOKEN", "name")))));

    static readonly Schema s_audit = new ObjectSchema(
        "What is recorded.",
        new("record", new OneOrMoreSchema("What.", new ChoiceSchema(
            "Lifecycle, denied decisions, all decisions.", "lifecycle", "denials", "decisions")), Required: true),
        new("to", new TextSchema("The file that it goes to.", "^/", "/var/log/sandbox.log", "absolute host path"),
            Required: true),
        new("when-full", new ChoiceSchema(
            "What happens when the sink is full: the guest waits, events are dropped and counted, or the guest is "
                + "stopped.",
            "block", "drop", "stop"), Required: true),
        new("because", s_because));

    public static ObjectSchema Root { get; } = new(
        "Everything that a sandbox may do. What is not allowed is denied, and a deny overrides every allow.",
        new("version", new ChoiceSchema("The version of this language.", "1"), Required: true),
        new("description", new TextSchema("What the policy is for.")),
        new("fragment", new FlagSchema("true: a part to be extended, not a policy by itself."), Default: "false"),
        new("extends", new OneOrMoreSchema(
            "Policies that this one begins with, relative to its own file. It may deny and narrow freely; what it adds "
                + "needs because.",
            new TextSchema("A file.", null, "builtin:default.yaml", "file, or builtin:NAME.yaml"))),
        new("guest", s_guest),
        new("files", new ObjectSchema(
            "The guest's file tree.",
            new("show", new ListSchema("What appears. The deepest entry above a path decides for it.", s_shown)),
            new("rules", new ListSchema("What may be done beyond, and what may not.", s_pathRule)))),
        new("network", new ListSchema("The network; nothing of it when left out.", s_networkRule)),
        new("syscalls", new ListSchema("System calls of process guests.", s_systemCallRule)),
        new("devices", new ListSchema("Devices of machine guests.", s_device)),
        new("isolation", new ListSchema(
            "Walls without which the start is refused.", Reasoned(new ChoiceSchema("A wall.", Walls.Names)))),
        new("audit", s_audit),
        new("command-line", new ListSchema(
            "What flags of sandbox run may do beyond narrowing.",
            Reasoned(new ChoiceSchema("A freedom.", Freedoms.Names)))));

    static ReasonedSchema Reasoned(Schema value) => new(value);
}
