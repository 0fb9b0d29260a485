using System.Runtime.InteropServices;
using Sandbox.Policy.Contract;

namespace Sandbox.Supervisor.Tests.Metrics;

/// <summary>Records of guests, for tests.</summary>
static class GuestRecords
{
    /// <summary>Of a process guest that has made two reads.</summary>
    public static GuestRecord Process()
    {
        GuestRecord record = new()
        {
            Version = GuestRecord.CurrentVersion, WallNanoseconds = 1_500_000_001, CpuNanoseconds = 70, MemoryPeakBytes = 4096,
            MemoryLimitBytes = 1 << 20, OutputBytes = 12, ProcessesStarted = 1, CallsHandedOver = 3,
        };
        record.Calls[0] = 2;
        record.Exits[0] = 3;
        record.ExitTimes[0] = Times(2, 5, 7_000_000_000);
        return record;
    }

    /// <summary>Of a machine guest with a disk and a network interface.</summary>
    public static GuestRecord Machine()
    {
        GuestRecord record = new()
        {
            Version = GuestRecord.CurrentVersion, Vcpus = 2, StrayReads = 9, DeviceCount = 2,
        };
        record.MachineExitTimes[6] = Times(4, 10, 20);
        ref DeviceRecord disk = ref record.Devices[0];
        disk.Kind = VirtioKind.Block;
        disk.QueueCount = 1;
        disk.Counters[0] = 11;
        disk.Counters[3] = 4096;
        disk.QueueFaults[6] = 1;
        disk.RegisterFaults[5] = 2;
        disk.Queues[0] = Times(8, 1000, 3000);
        ref DeviceRecord net = ref record.Devices[1];
        net.Kind = VirtioKind.Net;
        net.QueueCount = 2;
        return record;
    }

    /// <summary>Of a machine guest with a balloon, which has told of its memory.</summary>
    public static GuestRecord Ballooned()
    {
        GuestRecord record = new() { Version = GuestRecord.CurrentVersion, Vcpus = 1, DeviceCount = 1 };
        record.Devices[0].Kind = VirtioKind.Balloon;
        record.Devices[0].QueueCount = 4;
        record.Balloon = new BalloonRecord { TargetBytes = 64 << 20, ActualBytes = 32 << 20, Reports = 2 };
        record.Balloon.Statistics[4] = 100 << 20;
        record.Balloon.Statistics[5] = 200 << 20;
        record.Balloon.Statistics[2] = 7;
        return record;
    }

    /// <summary>Of a machine guest whose processor has two leaves.</summary>
    public static GuestRecord Processor()
    {
        GuestRecord record = new() { Version = GuestRecord.CurrentVersion, Vcpus = 1, CpuidCount = 2 };
        record.Cpuid[0] = new CpuidRecord { Leaf = 0, Eax = 0xd, Ebx = 0x68747541, Ecx = 0x444d4163, Edx = 0x69746e65 };
        record.Cpuid[1] = new CpuidRecord { Leaf = 0x8000_001d, Index = 1, Eax = 0x4021 };
        return record;
    }

    public static LatencyRecord Times(ulong count, ulong minimum, ulong maximum) => new()
    {
        Count = count, MinimumNanoseconds = minimum, MaximumNanoseconds = maximum, SumNanoseconds = maximum + minimum,
    };

    public static Span<ulong> Numbers(ref GuestRecord record) =>
        MemoryMarshal.Cast<GuestRecord, ulong>(new Span<GuestRecord>(ref record));
}
