using System.Runtime.CompilerServices;
using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.LifeCycle;
using Sandbox.Supervisor.Metrics;
using Sandbox.Supervisor.Tests.LifeCycle;
using Xunit;

namespace Sandbox.Supervisor.Tests.Metrics;

/// <summary>What <c>sandbox inspect --metrics</c> prints, by another reader's rules.</summary>
public class SandboxMetricsTests
{
    static readonly SandboxId s_id = new(0x0123456789ab);

    static OpenMetricsReader Read(SandboxRecord record, GuestRecord? counted, bool isAlive = true)
    {
        var usage = new GroupUsage(5, 6, 7) { Throttled = 8, ThrottledMicroseconds = 9, PeakProcesses = 10 };
        var metrics = new SandboxMetrics(new ListedSandbox(s_id, isAlive, record),
            isAlive ? new GroupUse(1, 2, 3, 4) : default, isAlive ? usage : default, counted, record.StartedAt + 1500);
        return new OpenMetricsReader(metrics.Write());
    }

    static string Of(OpenMetricsReader read, string name, string labels = "") =>
        read.Samples[$"{name}{{sandbox=\"{s_id}\"{(labels.Length > 0 ? "," : "")}{labels}}}"];

    [Fact]
    public void AProcessGuestIsTold()
    {
        OpenMetricsReader read = Read(Records.Simple(s_id), GuestRecords.Process());
        Assert.Equal("1", Of(read, "sandbox_state", "sandbox_state=\"running\""));
        Assert.Equal("0", Of(read, "sandbox_state", "sandbox_state=\"lost\""));
        Assert.Equal("1.5", Of(read, "sandbox_wall_seconds"));
        Assert.Equal("1764000000.123", Of(read, "sandbox_start_time_seconds"));
        Assert.Equal("1", Of(read, "sandbox_vmm_responding"));
        Assert.Equal("1", Of(read, "sandbox_memory_bytes"));
        Assert.Equal("0.000003", Of(read, "sandbox_cpu_seconds_total"));
        Assert.Equal("8", Of(read, "sandbox_cpu_throttles_total"));
        Assert.Equal("1.500000001", Of(read, "sandbox_guest_wall_seconds"));
        Assert.Equal("0.00000007", Of(read, "sandbox_guest_cpu_seconds_total"));
        Assert.Equal("2", Of(read, "sandbox_guest_system_calls_total", "call=\"read\""));
        Assert.Equal("3", Of(read, "sandbox_exits_total", "kind=\"systemCall\""));
        Assert.Equal("2", Of(read, "sandbox_exit_duration_seconds_count", "kind=\"systemCall\""));
        Assert.Equal("7.000000005", Of(read, "sandbox_exit_duration_seconds_sum", "kind=\"systemCall\""));
        Assert.Equal("0.000000005", Of(read, "sandbox_exit_duration_minimum_seconds", "kind=\"systemCall\""));
        Assert.Equal("7.0", Of(read, "sandbox_exit_duration_maximum_seconds", "kind=\"systemCall\""));
        Assert.Equal("0", Of(read, "sandbox_exit_duration_seconds_count", "kind=\"pageFault\""));
        Assert.DoesNotContain(read.Families, family => family.Contains("device", StringComparison.Ordinal));
    }

    [Fact]
    public void DevicesOfAMachineGuestAreTold()
    {
        OpenMetricsReader read = Read(Records.Simple(s_id), GuestRecords.Machine());
        Assert.Equal("4", Of(read, "sandbox_exits_total", "kind=\"mmio\""));
        Assert.Equal("11", Of(read, "sandbox_device_interrupts_total", "device=\"0\",kind=\"block\""));
        Assert.Equal("0", Of(read, "sandbox_device_interrupts_total", "device=\"1\",kind=\"net\""));
        Assert.Equal("4096", Of(read, "sandbox_device_read_bytes_total", "device=\"0\",kind=\"block\""));
        Assert.Equal("8", Of(read, "sandbox_device_request_duration_seconds_count", "device=\"0\",kind=\"block\",queue=\"0\""));
        Assert.Equal("0.000003", Of(read, "sandbox_device_request_duration_maximum_seconds", "device=\"0\",kind=\"block\",queue=\"0\""));
        Assert.Equal("1", Of(read, "sandbox_device_queue_faults_total", "device=\"0\",kind=\"block\",fault=\"not_ram\""));
        Assert.Equal("2", Of(read, "sandbox_device_register_faults_total", "device=\"0\",kind=\"block\",fault=\"notify\""));
        Assert.DoesNotContain("sandbox_guest_system_calls", read.Families);
    }

    [Fact]
    public void ABalloonIsToldAndWhatTheGuestSaysOfItsMemory()
    {
        GuestRecord record = GuestRecords.Ballooned();
        OpenMetricsReader read = Read(Records.Simple(s_id), record);
        Assert.Equal("67108864", Of(read, "sandbox_balloon_target_bytes"));
        Assert.Equal("33554432", Of(read, "sandbox_balloon_actual_bytes"));
        Assert.Equal("2", Of(read, "sandbox_balloon_reports_total"));
        Assert.Equal("104857600", Of(read, "sandbox_balloon_guest_free_bytes"));
        Assert.Equal("7", Of(read, "sandbox_balloon_guest_major_faults"));
        record.Balloon.Reports = 0;
        read = Read(Records.Simple(s_id), record);
        Assert.Equal("67108864", Of(read, "sandbox_balloon_target_bytes"));
        Assert.DoesNotContain(read.Families, family => family.StartsWith("sandbox_balloon_guest", StringComparison.Ordinal));
        Assert.DoesNotContain("sandbox_balloon_target_bytes", Read(Records.Simple(s_id), GuestRecords.Machine()).Families);
    }

    [Fact]
    public void OneThatHasEndedIsToldByItsRecord()
    {
        OpenMetricsReader read = Read(Records.Full(s_id), GuestRecords.Process(), isAlive: false);
        Assert.Equal("1", Of(read, "sandbox_state", "sandbox_state=\"exited\""));
        Assert.Equal("137", Of(read, "sandbox_exit_status"));
        Assert.Equal("99.877", Of(read, "sandbox_wall_seconds"));
        Assert.Equal("77", Of(read, "sandbox_memory_peak_bytes"));
        Assert.Equal("0.000088", Of(read, "sandbox_cpu_seconds_total"));
        Assert.Equal("12", Of(read, "sandbox_guest_output_bytes_total"));
        Assert.DoesNotContain("sandbox_vmm_responding", read.Families);
        Assert.DoesNotContain("sandbox_memory_bytes", read.Families);
        Assert.Contains("""sandbox_info{sandbox="0123456789ab",name="web-1_a.b",policy="my policy\n.yaml"}""", read.Samples.Keys);
    }

    [Fact]
    public void OfAVmmThatDoesNotAnswerTheHostsOwnNumbersAreTold()
    {
        OpenMetricsReader read = Read(Records.Simple(s_id), null);
        Assert.Equal("0", Of(read, "sandbox_vmm_responding"));
        Assert.Equal("1", Of(read, "sandbox_memory_bytes"));
        Assert.DoesNotContain(read.Families, family => family.StartsWith("sandbox_guest", StringComparison.Ordinal));
    }

    [Fact]
    public void TheLargestNumbersAreExact()
    {
        GuestRecord record = GuestRecords.Machine();
        foreach (ref ulong number in GuestRecords.Numbers(ref record))
            if (number == 4096)
                number = GuestRecordRules.LargestNumber;
        Assert.True(GuestRecordRules.Hold(record));
        Assert.Equal("9223372036854775807",
            Of(Read(Records.Simple(s_id), record), "sandbox_device_read_bytes_total", "device=\"0\",kind=\"block\""));
        Assert.Equal("9223372036.854775807", OpenMetricsWriter.Seconds(GuestRecordRules.LargestNumber));
        Assert.Equal("0.0", OpenMetricsWriter.Seconds(0));
    }

    [Fact]
    public void TextsAreEscapedAndMoveNoTerminal()
    {
        var writer = new OpenMetricsWriter();
        writer.Begin(new MetricFamily("x", MetricType.Gauge, "", "a\\b\"c\nd"));
        writer.Sample("x", "1", ("label", "a\\b\"c\nd\x1b[31m\u2028\ud800"));
        Assert.Equal("# TYPE x gauge\n# HELP x a\\\\b\\\"c\\nd\nx{label=\"a\\\\b\\\"c\\nd\ufffd[31m\ufffd\ufffd\"} 1\n# EOF\n", writer.Finish());
    }

    [Fact]
    public void EveryCounterOfADeviceHasAFamily() =>
        Assert.Equal(
            Enum.GetValues<VirtioKind>().SelectMany(DeviceCounters.Of).Distinct().Order(),
            MetricFamilies.DeviceCounts.Select(one => one.Counter).Order());

    [Fact]
    public void TheDocumentationHasEveryMetric()
    {
        var table = new StringBuilder("| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n");
        foreach (MetricFamily family in MetricFamilies.All)
        {
            string labels = string.Join(", ", family.Labels.Select(label => $"`{label}`"));
            table.Append($"| `{family.Name}` | {OpenMetricsWriter.Word(family.Type)} | {labels} | {family.Help} |\n");
        }

        Assert.True(Page().Contains(table.ToString(), StringComparison.Ordinal), $"docs/metrics.md is to hold:\n{table}");
    }

    static string Page([CallerFilePath] string here = "") =>
        File.ReadAllText(Path.GetFullPath("../../../docs/metrics.md", Path.GetDirectoryName(here)!));
}
