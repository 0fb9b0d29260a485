namespace Sandbox.Policy.Contract;

/// <summary>
/// The plan's wire form: its members in order, each record written and read side by side. Plain code instead of a
/// serialiser: both ends do this once in a process that has just begun, where a serialiser's preparations cost a
/// hundred times more than its work.
/// </summary>
/// <remarks>
/// A new member is one line in its record's Write and one at the same place in its Read; the compiler misses it in
/// the latter when it is <c>required</c>, the tests in both.
/// </remarks>
static class PlanFormat
{
    static ReadOnlySpan<byte> Magic => "sandbox\0"u8;

    /// <summary>A kind, an empty path, a descriptor, two flags, a mode and a size.</summary>
    const int LeastFileBytes =
        sizeof(byte) + sizeof(int) + sizeof(int) + 2 * sizeof(byte) + sizeof(uint) + sizeof(ulong);

    /// <exception cref="PlanException">A text holds half a surrogate pair.</exception>
    public static byte[] Write(LaunchPlan plan)
    {
        var to = new PlanWriter();
        to.Literal(Magic);
        to.Int32(plan.Version);
        to.Texts(plan.Arguments);
        to.Texts(plan.Environment);
        to.Text(plan.WorkingDirectory);
        to.Text(plan.Hostname);
        Write(ref to, plan.User);
        Write(ref to, plan.Limits);
        Write(ref to, plan.Files);
        WriteOrNull(ref to, plan.PathRules);
        WriteOrNull(ref to, plan.SystemCallRules);
        Write(ref to, plan.Streams);
        WriteOrNull(ref to, plan.Network);
        WriteOrNull(ref to, plan.Audit);
        WriteOrNull(ref to, plan.Machine);
        to.Flag(plan.Handoff);
        to.Int64(plan.StartedAtNanoseconds);
        return to.ToArray();
    }

    /// <summary>Without the rules on what the values may be.</summary>
    /// <exception cref="PlanException">Whatever is not exactly what <see cref="Write(LaunchPlan)"/> writes.</exception>
    public static LaunchPlan Read(ReadOnlySpan<byte> bytes)
    {
        var from = new PlanReader(bytes);
        from.Literal(Magic);
        int version = from.Int32();
        if (version != LaunchPlan.CurrentVersion)
            throw new PlanException($"version {version}, expected {LaunchPlan.CurrentVersion}");
        var plan = new LaunchPlan
        {
            Version = version,
            Arguments = from.Texts(),
            Environment = from.Texts(),
            WorkingDirectory = from.Text(),
            Hostname = from.Text(),
            User = ReadUser(ref from),
            Limits = ReadLimits(ref from),
            Files = ReadFiles(ref from),
            PathRules = from.Flag() ? ReadPathTables(ref from) : null,
            SystemCallRules = from.Flag() ? ReadSystemCallTables(ref from) : null,
            Streams = ReadStreams(ref from),
            Network = from.Flag() ? ReadNetwork(ref from) : null,
            Audit = from.Flag() ? ReadAudit(ref from) : null,
            Machine = from.Flag() ? ReadMachine(ref from) : null,
            Handoff = from.Flag(),
            StartedAtNanoseconds = from.Int64(),
        };
        from.End();
        return plan;
    }

    static void Write(ref PlanWriter to, GuestUser user)
    {
        to.Text(user.Name);
        to.UInt32(user.Uid);
        to.UInt32(user.Gid);
        to.Text(user.Home);
    }

    static GuestUser ReadUser(ref PlanReader from) => new()
    {
        Name = from.Text(),
        Uid = from.UInt32(),
        Gid = from.UInt32(),
        Home = from.Text(),
    };

    static void Write(ref PlanWriter to, GuestLimits limits)
    {
        to.UInt64(limits.MemoryBytes);
        to.Int32(limits.Cpus);
        to.Int64(limits.WallMilliseconds);
        to.Int64(limits.CpuMilliseconds);
        to.Int32(limits.Processes);
        to.Int64(limits.OutputBytes);
        to.UInt64(limits.TmpBytes);
        to.Int32(limits.OpenFiles);
    }

    static GuestLimits ReadLimits(ref PlanReader from) => new()
    {
        MemoryBytes = from.UInt64(),
        Cpus = from.Int32(),
        WallMilliseconds = from.Int64(),
        CpuMilliseconds = from.Int64(),
        Processes = from.Int32(),
        OutputBytes = from.Int64(),
        TmpBytes = from.UInt64(),
        OpenFiles = from.Int32(),
    };

    static void Write(ref PlanWriter to, GuestFile[] files)
    {
        to.Int32(files.Length);
        foreach (GuestFile file in files)
            Write(ref to, file);
    }

    static GuestFile[] ReadFiles(ref PlanReader from)
    {
        var files = new GuestFile[from.Count(LeastFileBytes)];
        for (int i = 0; i < files.Length; i++)
            files[i] = ReadFile(ref from);
        return files;
    }

    static void Write(ref PlanWriter to, GuestFile file)
    {
        to.Choice((int)file.Kind);
        to.Text(file.Path);
        to.Int32(file.Descriptor);
        to.Flag(file.Writable);
        to.TextOrNull(file.Content);
        to.UInt32(file.Mode);
        to.UInt64(file.Bytes);
    }

    static GuestFile ReadFile(ref PlanReader from) => new()
    {
        Kind = (GuestFileKind)from.Choice(last: (int)GuestFileKind.Directory),
        Path = from.Text(),
        Descriptor = from.Int32(),
        Writable = from.Flag(),
        Content = from.TextOrNull(),
        Mode = from.UInt32(),
        Bytes = from.UInt64(),
    };

    static void WriteOrNull(ref PlanWriter to, PathTables? tables)
    {
        to.Flag(tables is not null);
        if (tables is null)
            return;
        to.Int32(tables.Start);
        to.Int32s(tables.Bases);
        to.Int32s(tables.Rows);
        to.Int32s(tables.Tails);
        to.Int32s(tables.Shown);
        to.Int32s(tables.ShownExactly);
        to.Int32s(tables.ShownAccess);
        to.Int32s(tables.Decisions);
        to.Int32s(tables.Edges);
        to.Bytes(tables.NameBytes);
        to.Int32s(tables.Names);
        to.Int32s(tables.Classes);
        to.Bytes(tables.Columns);
        to.Int32(tables.ColumnCount);
        to.Int32s(tables.WildcardSteps);
        to.Int32s(tables.WildcardSymbols);
    }

    static PathTables ReadPathTables(ref PlanReader from) => new()
    {
        Start = from.Int32(),
        Bases = from.Int32s(),
        Rows = from.Int32s(),
        Tails = from.Int32s(),
        Shown = from.Int32s(),
        ShownExactly = from.Int32s(),
        ShownAccess = from.Int32s(),
        Decisions = from.Int32s(),
        Edges = from.Int32s(),
        NameBytes = from.Bytes(),
        Names = from.Int32s(),
        Classes = from.Int32s(),
        Columns = from.Bytes(),
        ColumnCount = from.Int32(),
        WildcardSteps = from.Int32s(),
        WildcardSymbols = from.Int32s(),
    };

    static void WriteOrNull(ref PlanWriter to, SystemCallTables? tables)
    {
        to.Flag(tables is not null);
        if (tables is null)
            return;
        to.Int32s(tables.Offsets);
        to.Int32s(tables.Rules);
        to.Int32s(tables.Answers);
        to.Int32s(tables.ConditionOffsets);
        to.UInt64s(tables.Conditions);
    }

    static SystemCallTables ReadSystemCallTables(ref PlanReader from) => new()
    {
        Offsets = from.Int32s(),
        Rules = from.Int32s(),
        Answers = from.Int32s(),
        ConditionOffsets = from.Int32s(),
        Conditions = from.UInt64s(),
    };

    static void Write(ref PlanWriter to, GuestStreams streams)
    {
        to.Int32(streams.Stdin);
        to.Int32(streams.Stdout);
        to.Int32(streams.Stderr);
        to.Flag(streams.Terminal);
        to.UInt16(streams.Rows);
        to.UInt16(streams.Columns);
        to.Int32(streams.Result);
        to.Int32(streams.Trace);
    }

    static GuestStreams ReadStreams(ref PlanReader from) => new()
    {
        Stdin = from.Int32(),
        Stdout = from.Int32(),
        Stderr = from.Int32(),
        Terminal = from.Flag(),
        Rows = from.UInt16(),
        Columns = from.UInt16(),
        Result = from.Int32(),
        Trace = from.Int32(),
    };

    static void WriteOrNull(ref PlanWriter to, GuestNetwork? network)
    {
        to.Flag(network is not null);
        if (network is null)
            return;
        to.Int32(network.Broker);
        to.Flag(network.NameServer);
    }

    static GuestNetwork ReadNetwork(ref PlanReader from) => new()
    {
        Broker = from.Int32(),
        NameServer = from.Flag(),
    };

    static void WriteOrNull(ref PlanWriter to, AuditPlan? audit)
    {
        to.Flag(audit is not null);
        if (audit is null)
            return;
        to.Int32(audit.Descriptor);
        to.Flag(audit.All);
        to.Choice((int)audit.WhenFull);
    }

    static AuditPlan ReadAudit(ref PlanReader from) => new()
    {
        Descriptor = from.Int32(),
        All = from.Flag(),
        WhenFull = (WhenFull)from.Choice(last: (int)WhenFull.Stop),
    };

    static void WriteOrNull(ref PlanWriter to, GuestMachine? machine)
    {
        to.Flag(machine is not null);
        if (machine is null)
            return;
        to.Int32(machine.Kernel);
        to.Int32(machine.Initrd);
        to.Text(machine.CommandLine);
        to.Int32(machine.Disks.Length);
        foreach (GuestDisk disk in machine.Disks)
        {
            to.Int32(disk.Descriptor);
            to.Flag(disk.Writable);
            to.UInt64(disk.BytesPerSecond);
            to.UInt64(disk.OperationsPerSecond);
        }
        to.Int32(machine.Taps.Length);
        foreach (GuestTap tap in machine.Taps)
            Write(ref to, tap);
        to.Flag(machine.Agent);
        to.Flag(machine.Random is not null);
        if (machine.Random is GuestRandom random)
            to.UInt64(random.BytesPerSecond);
        to.Int32(machine.Vsock);
        to.Flag(machine.Balloon);
        to.Flag(machine.VirtioConsole);
    }

    static GuestMachine ReadMachine(ref PlanReader from) => new()
    {
        Kernel = from.Int32(),
        Initrd = from.Int32(),
        CommandLine = from.Text(),
        Disks = ReadDisks(ref from),
        Taps = ReadTaps(ref from),
        Agent = from.Flag(),
        Random = from.Flag() ? new GuestRandom { BytesPerSecond = from.UInt64() } : null,
        Vsock = from.Int32(),
        Balloon = from.Flag(),
        VirtioConsole = from.Flag(),
    };

    static GuestDisk[] ReadDisks(ref PlanReader from)
    {
        var disks = new GuestDisk[from.Count(sizeof(int) + sizeof(byte) + (2 * sizeof(ulong)))];
        for (int i = 0; i < disks.Length; i++)
            disks[i] = new GuestDisk
            {
                Descriptor = from.Int32(), Writable = from.Flag(), BytesPerSecond = from.UInt64(),
                OperationsPerSecond = from.UInt64(),
            };
        return disks;
    }

    static void Write(ref PlanWriter to, GuestTap tap)
    {
        to.Int32(tap.Descriptors.Length);
        foreach (int descriptor in tap.Descriptors)
            to.Int32(descriptor);
        to.Bytes(tap.Mac);
        to.Bytes(tap.Address);
        to.UInt64(tap.BytesPerSecond);
        to.UInt64(tap.OperationsPerSecond);
    }

    static GuestTap[] ReadTaps(ref PlanReader from)
    {
        var taps = new GuestTap[from.Count(3 * sizeof(int) + sizeof(ulong))];
        for (int i = 0; i < taps.Length; i++)
            taps[i] = new GuestTap
            {
                Descriptors = ReadNumbers(ref from),
                Mac = from.Bytes(),
                Address = from.Bytes(),
                BytesPerSecond = from.UInt64(),
                OperationsPerSecond = from.UInt64(),
            };
        return taps;
    }

    static int[] ReadNumbers(ref PlanReader from)
    {
        var numbers = new int[from.Count(sizeof(int))];
        for (int i = 0; i < numbers.Length; i++)
            numbers[i] = from.Int32();
        return numbers;
    }
}
