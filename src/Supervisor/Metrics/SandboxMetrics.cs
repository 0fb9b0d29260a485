using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.LifeCycle;
using static Sandbox.Supervisor.Metrics.MetricFamilies;
using static Sandbox.Supervisor.Metrics.OpenMetricsWriter;

namespace Sandbox.Supervisor.Metrics;

/// <summary>
/// What is known of one sandbox, as metrics. Only what is known is written: a family without a sample is left out.
/// </summary>
/// <param name="Listed">With a record.</param>
/// <param name="Use">What its control group has in use; nothing after the end.</param>
/// <param name="Usage">What that has used; nothing after the end.</param>
/// <param name="Counted">By the VMM, and checked; null for nothing.</param>
/// <param name="Now">Milliseconds since 1970.</param>
sealed record SandboxMetrics(ListedSandbox Listed, GroupUse Use, GroupUsage Usage, GuestRecord? Counted, long Now)
{
    readonly OpenMetricsWriter _to = new(("sandbox", Listed.Id.ToString()));

    SandboxRecord Record => Listed.Record!;

    public string Write()
    {
        WriteSandbox();
        WriteGroup();
        if (Counted is GuestRecord counted)
        {
            WriteGuest(counted);
            WriteExits(counted);
            WriteDevices(counted);
            WriteBalloon(counted);
        }

        return _to.Finish();
    }

    void WriteSandbox()
    {
        _to.Begin(About);
        _to.Sample("sandbox_info", "1", ("name", Record.Name ?? ""), ("policy", Record.Policy));
        _to.Begin(State);
        foreach (SandboxState state in Enum.GetValues<SandboxState>())
            _to.Sample(State.Name, state == Listed.State ? "1" : "0", (State.Name, PsTool.Word(state)));
        Gauge(StartTime, Milliseconds(Record.StartedAt));
        if (Listed.IsAlive || Record.End is not null)
            Gauge(WallTime, Milliseconds(Math.Max((Record.End?.At ?? Now) - Record.StartedAt, 0)));
        Gauge(Status, Record.End is RecordedEnd end ? Number((ulong)end.Status) : null);
        if (Listed.State == SandboxState.Running)
            Gauge(Responding, Counted is null ? "0" : "1");
    }

    void WriteGroup()
    {
        GroupLimits limits = Record.GroupLimits;
        bool hasGroup = Record.Groups.Length > 0;
        Gauge(HostMemory, Number(Use.MemoryBytes));
        Gauge(HostMemoryPeak, Number(Use.MemoryPeakBytes ?? Record.End?.MemoryPeakBytes));
        Gauge(HostMemoryLimit, hasGroup ? Number(limits.MemoryBytes) : null);
        Count(HostCpu, Microseconds(Use.CpuMicroseconds ?? (ulong?)Record.End?.CpuMicroseconds));
        Count(Throttles, Number(Usage.Throttled));
        Count(Throttled, Microseconds(Usage.ThrottledMicroseconds));
        Gauge(Threads, Number(Use.Threads));
        Gauge(ThreadsPeak, Number(Usage.PeakProcesses));
        Gauge(ThreadLimit, hasGroup ? Number((ulong)limits.Processes) : null);
        Count(OomKills, hasGroup && Listed.IsAlive ? Number(Usage.OomKills) : null);
        Count(ForksRefused, hasGroup && Listed.IsAlive ? Number(Usage.ForksRefused) : null);
    }

    void WriteGuest(in GuestRecord counted)
    {
        bool isMachine = counted.Vcpus > 0;
        Gauge(GuestWall, Seconds(counted.WallNanoseconds));
        if (!isMachine)
        {
            Count(GuestCpu, Seconds(counted.CpuNanoseconds));
            Gauge(GuestMemoryPeak, Number(counted.MemoryPeakBytes));
        }

        Gauge(GuestMemoryLimit, Number(counted.MemoryLimitBytes));
        Count(GuestOutput, Number(counted.OutputBytes));
        if (isMachine)
        {
            Gauge(Vcpus, Number(counted.Vcpus));
            Count(LostBytes, Number(counted.LostBytes));
            Count(RefusedRegisters, Number(counted.RefusedRegisterAccesses));
            Count(StrayReads, Number(counted.StrayReads));
            Count(StrayWrites, Number(counted.StrayWrites));
            return;
        }

        Count(Processes, Number(counted.ProcessesStarted));
        WriteCalls(Calls, counted.Calls);
        WriteCalls(CallsNotServed, counted.CallsNotServed);
        Count(CallsOutOfRange, Number(counted.CallsOutOfRange));
        Count(CallsHandedOver, Number(counted.CallsHandedOver));
    }

    void WriteCalls(MetricFamily family, ReadOnlySpan<ulong> counts)
    {
        _to.Begin(family);
        for (int number = 0; number < counts.Length; number++)
            if (counts[number] > 0)
                _to.Sample($"{family.Name}_total", Number(counts[number]), ("call", SystemCallNames.NameOf(number)));
    }

    void WriteExits(in GuestRecord counted)
    {
        bool isMachine = counted.Vcpus > 0;
        ReadOnlySpan<LatencyRecord> times = isMachine ? counted.MachineExitTimes : counted.ExitTimes;
        _to.Begin(Exits);
        List<(LatencyRecord, (string, string)[])> all = [];
        for (int kind = 0; kind < times.Length; kind++)
        {
            // Of a machine's kinds most never come.
            if (isMachine && times[kind].Count == 0)
                continue;
            string word = isMachine ? ResultRecord.MachineExit(kind) : GuestRecord.ExitNames[kind];
            _to.Sample(
                $"{Exits.Name}_total", Number(isMachine ? times[kind].Count : counted.Exits[kind]), ("kind", word));
            all.Add((times[kind], [("kind", word)]));
        }

        WriteTimes(ExitTimes, all);
    }

    void WriteTimes(LatencyFamilies families, List<(LatencyRecord Times, (string, string)[] Labels)> all)
    {
        _to.Begin(families.Total);
        foreach ((LatencyRecord times, (string, string)[] labels) in all)
        {
            _to.Sample($"{families.Total.Name}_count", Number(times.Count), labels);
            _to.Sample($"{families.Total.Name}_sum", Seconds(times.SumNanoseconds), labels);
        }

        _to.Begin(families.Minimum);
        foreach ((LatencyRecord times, (string, string)[] labels) in all)
            if (times.Count > 0)
                _to.Sample(families.Minimum.Name, Seconds(times.MinimumNanoseconds), labels);
        _to.Begin(families.Maximum);
        foreach ((LatencyRecord times, (string, string)[] labels) in all)
            if (times.Count > 0)
                _to.Sample(families.Maximum.Name, Seconds(times.MaximumNanoseconds), labels);
    }

    void WriteDevices(in GuestRecord counted)
    {
        DeviceRecord[] devices = ((ReadOnlySpan<DeviceRecord>)counted.Devices)[..(int)counted.DeviceCount].ToArray();
        if (devices.Length == 0)
            return;
        foreach ((string counter, MetricFamily family) in DeviceCounts)
        {
            bool hasBegun = false;
            for (int number = 0; number < devices.Length; number++)
            {
                int at = DeviceCounters.Of(devices[number].Kind).ToList().IndexOf(counter);
                if (at < 0)
                    continue;
                if (!hasBegun)
                    _to.Begin(family);
                hasBegun = true;
                _to.Sample($"{family.Name}_total", Number(devices[number].Counters[at]), Labels(devices, number));
            }
        }

        List<(LatencyRecord, (string, string)[])> all = [];
        for (int number = 0; number < devices.Length; number++)
            for (int queue = 0; queue < (int)devices[number].QueueCount; queue++)
                all.Add((devices[number].Queues[queue], [.. Labels(devices, number), ("queue", Number((ulong)queue))]));
        WriteTimes(Requests, all);
        WriteFaults(QueueFaults, DeviceCounters.QueueFaults, devices, static device =>
            ((ReadOnlySpan<ulong>)device.QueueFaults).ToArray());
        WriteFaults(RegisterFaults, DeviceCounters.RegisterFaults, devices, static device =>
            ((ReadOnlySpan<ulong>)device.RegisterFaults).ToArray());
    }

    void WriteFaults(
        MetricFamily family, IReadOnlyList<string> names, DeviceRecord[] devices, Func<DeviceRecord, ulong[]> counts)
    {
        _to.Begin(family);
        for (int number = 0; number < devices.Length; number++)
        {
            ulong[] faults = counts(devices[number]);
            for (int fault = 0; fault < faults.Length; fault++)
                _to.Sample($"{family.Name}_total", Number(faults[fault]),
                    [.. Labels(devices, number), ("fault", names[fault])]);
        }
    }

    void WriteBalloon(in GuestRecord counted)
    {
        if (BalloonReport.Of(counted) is not { Record: BalloonRecord balloon })
            return;
        Gauge(BalloonTarget, Number(balloon.TargetBytes));
        Gauge(BalloonActual, Number(balloon.ActualBytes));
        Count(BalloonReports, Number(balloon.Reports));
        for (int number = 0; balloon.Reports > 0 && number < BalloonGuest.Count; number++)
            Gauge(BalloonGuest[number], Number(balloon.Statistics[number]));
    }

    static (string, string)[] Labels(DeviceRecord[] devices, int number) =>
        [("device", Number((ulong)number)), ("kind", devices[number].Kind.ToString().ToLowerInvariant())];

    void Gauge(MetricFamily family, string? number)
    {
        if (number is null)
            return;
        _to.Begin(family);
        _to.Sample(family.Name, number);
    }

    void Count(MetricFamily family, string? number)
    {
        if (number is null)
            return;
        _to.Begin(family);
        _to.Sample($"{family.Name}_total", number);
    }

    static string? Number(ulong? value) => value is ulong known ? OpenMetricsWriter.Number(known) : null;

    static string Number(ulong value) => OpenMetricsWriter.Number(value);

    /// <summary>What a record or the kernel says, which may be any number.</summary>
    static string Milliseconds(long value) =>
        Seconds((ulong)Math.Clamp(value, 0, long.MaxValue / 1_000_000) * 1_000_000);

    static string? Microseconds(ulong? value) =>
        value is ulong known ? Seconds(Math.Min(known, long.MaxValue / 1000) * 1000) : null;
}
