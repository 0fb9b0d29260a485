using System.Text.Json;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Devices.Balloon;
using Sandbox.Vmm.Devices.Block;
using Sandbox.Vmm.Devices.Console;
using Sandbox.Vmm.Devices.Net;
using Sandbox.Vmm.Devices.Rng;
using Sandbox.Vmm.Devices.Vsock;
using Sandbox.Vmm.Virtio;
using Xunit;

namespace Sandbox.Vmm.Tests.Devices;

/// <summary>What devices count has its place in a guest's record, and means there what it means here.</summary>
public sealed class DeviceRecordTests
{
    private static readonly RateLimiter s_limiter = new(RateLimit.None);

    private static DeviceMetrics Metrics(VirtioKind kind) => kind switch
    {
        VirtioKind.Block => new BlockMetrics(BlockDevice.MaximumQueues, s_limiter, s_limiter),
        VirtioKind.Net => new NetMetrics(17, s_limiter, s_limiter),
        VirtioKind.Console => new ConsoleMetrics((2 * ConsoleDevice.MaximumPorts) + 2),
        VirtioKind.Vsock => new VsockMetrics(),
        VirtioKind.Rng => new RngMetrics(s_limiter),
        _ => new BalloonMetrics(),
    };

    public static TheoryData<VirtioKind> Kinds => [.. Enum.GetValues<VirtioKind>()[1..]];

    [Theory, MemberData(nameof(Kinds))]
    public void Every_count_has_a_name_and_every_queue_a_place(VirtioKind kind)
    {
        DeviceMetrics metrics = Metrics(kind);
        Dictionary<string, long> told = [];
        metrics.Report(told.Add);
        Assert.Equal(DeviceCounters.Of(kind).Order(), told.Keys.Order());

        metrics.CountInterrupt();
        metrics.CountNotification();
        metrics.CountNotification();
        metrics.Add(QueueFault.Request);
        metrics.Add(RegisterFault.Access);
        foreach (LatencyMetric latency in metrics.LatencyByQueue)
            latency.Record(5);
        GuestRecord record = new() { Version = GuestRecord.CurrentVersion, Vcpus = 1, DeviceCount = 1 };
        ref DeviceRecord device = ref record.Devices[0];
        metrics.Write(ref device, kind);
        Assert.True(GuestRecordRules.Hold(record));
        Assert.Equal((1UL, 2UL), (device.Counters[0], device.Counters[1]));
        Assert.Equal((1UL, 0UL), (device.QueueFaults[(int)QueueFault.Request - 1], device.QueueFaults[0]));
        Assert.Equal(1UL, device.RegisterFaults[(int)RegisterFault.Access]);
        Assert.Equal((ulong)metrics.LatencyByQueue.Count, device.QueueCount);
        Assert.Equal(5UL, device.Queues[(int)device.QueueCount - 1].SumNanoseconds);
    }

    [Fact]
    public void Faults_have_their_names()
    {
        Assert.Equal(Names<QueueFault>()[1..], DeviceCounters.QueueFaults);
        Assert.Equal(Names<RegisterFault>(), DeviceCounters.RegisterFaults);
        DeviceRecord empty = default;
        Assert.Equal(DeviceCounters.QueueFaults.Count, ((ReadOnlySpan<ulong>)empty.QueueFaults).Length);
        Assert.Equal(DeviceCounters.RegisterFaults.Count, ((ReadOnlySpan<ulong>)empty.RegisterFaults).Length);
    }

    private static string[] Names<T>()
        where T : struct, Enum =>
        Array.ConvertAll(Enum.GetNames<T>(), JsonNamingPolicy.SnakeCaseLower.ConvertName);

    [Fact]
    public void Times_can_be_read_while_they_are_recorded()
    {
        LatencyMetric metric = new();
        Assert.Equal(default, metric.Read());
        bool stop = false;
        Thread writer = new(() =>
        {
            // Ever shorter and ever longer ones.
            for (long i = 1_000_000; !Volatile.Read(ref stop); i++)
                metric.Record((i & 1) == 0 ? i : Math.Max(3_000_000 - i, 0));
        });
        writer.Start();
        GuestRecord record = new() { Version = GuestRecord.CurrentVersion };
        for (int i = 0; i < 1_000_000; i++)
        {
            record.ExitTimes[0] = metric.Read();
            Assert.True(GuestRecordRules.Hold(record));
        }
        Volatile.Write(ref stop, true);
        writer.Join();
    }

    [Fact]
    public void Times_of_several_threads_are_taken_together()
    {
        LatencyMetric one = new(), two = new();
        one.Record(7);
        one.Record(3);
        two.Record(9);
        LatencyRecord sum = default;
        sum.Add(new LatencyMetric().Read());
        sum.Add(one.Read());
        sum.Add(two.Read());
        Assert.Equal((3UL, 3UL, 9UL, 19UL), (sum.Count, sum.MinimumNanoseconds, sum.MaximumNanoseconds, sum.SumNanoseconds));
    }

    [Fact]
    public void Recording_allocates_nothing()
    {
        LatencyMetric metric = new();
        metric.Record(1);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
            metric.Record(i);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }
}
