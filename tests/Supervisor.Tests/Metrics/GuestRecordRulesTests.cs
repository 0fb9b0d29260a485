using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Launch;
using Xunit;

namespace Sandbox.Supervisor.Tests.Metrics;

/// <summary>What a VMM that has fallen may write, and what is believed of it.</summary>
public class GuestRecordRulesTests
{
    delegate void Change(ref GuestRecord record);

    static bool Holds(GuestRecord record, Change change)
    {
        change(ref record);
        Assert.Equal(GuestRecordRules.Hold(record), GuestRecordFile.Parse(GuestRecordFile.Bytes(record)) is not null);
        return GuestRecordRules.Hold(record);
    }

    [Fact]
    public void WhatAVmmCountsHolds()
    {
        Assert.True(GuestRecordRules.Hold(GuestRecords.Process()));
        Assert.True(GuestRecordRules.Hold(GuestRecords.Machine()));
        Assert.True(GuestRecordRules.Hold(new GuestRecord { Version = GuestRecord.CurrentVersion }));
    }

    [Fact]
    public void EveryNumberHasABound()
    {
        GuestRecord record = GuestRecords.Machine();
        Span<ulong> numbers = GuestRecords.Numbers(ref record);
        for (int i = 0; i < numbers.Length; i++)
        {
            ulong before = numbers[i];
            numbers[i] = GuestRecordRules.LargestNumber + 1;
            Assert.False(GuestRecordRules.Hold(record), $"number {i}");
            numbers[i] = before;
        }

        Assert.True(GuestRecordRules.Hold(record));
    }

    [Fact]
    public void OtherVersionsAndLengthsAreNoRecords()
    {
        Assert.False(Holds(GuestRecords.Process(), static (ref record) => record.Version--));
        Assert.False(Holds(GuestRecords.Process(), static (ref record) => record.Version++));
        byte[] bytes = GuestRecordFile.Bytes(GuestRecords.Process());
        Assert.NotNull(GuestRecordFile.Parse(bytes));
        Assert.Null(GuestRecordFile.Parse(bytes.AsSpan(1)));
        Assert.Null(GuestRecordFile.Parse([.. bytes, 0]));
        Assert.Null(GuestRecordFile.Parse([]));
    }

    [Fact]
    public void TimesGoTogether()
    {
        Assert.False(Holds(GuestRecords.Process(), static (ref record) => record.ExitTimes[0].Count = 0));
        Assert.False(Holds(GuestRecords.Process(), static (ref record) => record.ExitTimes[0].MaximumNanoseconds = 4));
        Assert.False(Holds(GuestRecords.Process(), static (ref record) => record.ExitTimes[0].SumNanoseconds = 6));
        Assert.False(Holds(GuestRecords.Process(), static (ref record) => record.MachineExitTimes[39].MinimumNanoseconds = 1));
        Assert.False(Holds(GuestRecords.Machine(), static (ref record) => record.Devices[0].Queues[0].MaximumNanoseconds = 999));
    }

    [Fact]
    public void OnlyAGuestWithABalloonHasWhatIsInIt()
    {
        Assert.True(Holds(GuestRecords.Ballooned(), static (ref record) => record.Balloon = default));
        Assert.True(Holds(GuestRecords.Ballooned(), static (ref record) => record.Balloon.ActualBytes = GuestRecordRules.LargestNumber));
        Assert.False(Holds(GuestRecords.Ballooned(), static (ref record) => record.Devices[0].Kind = VirtioKind.Rng));
        Assert.False(Holds(GuestRecords.Machine(), static (ref record) => record.Balloon.TargetBytes = 1));
        Assert.False(Holds(GuestRecords.Process(), static (ref record) => record.Balloon.Statistics[9] = 1));
    }

    [Fact]
    public void LeavesOfCpuidHaveABoundAndNumbersOf32Bits()
    {
        Assert.True(Holds(GuestRecords.Processor(), static (ref record) => record.Cpuid[1].Edx = uint.MaxValue));
        Assert.False(Holds(GuestRecords.Processor(), static (ref record) => record.Cpuid[1].Edx = 1UL << 32));
        Assert.False(Holds(GuestRecords.Processor(), static (ref record) => record.CpuidCount = GuestRecord.CpuidLimit + 1));
        Assert.False(Holds(GuestRecords.Processor(), static (ref record) => record.CpuidCount = 1));
        Assert.False(Holds(GuestRecords.Processor(), static (ref record) => record.Cpuid[2].Leaf = 1));
        Assert.False(Holds(GuestRecords.Process(), static (ref record) => record.CpuidCount = 1));
    }

    [Fact]
    public void DevicesHaveABoundAndAKind()
    {
        Assert.False(Holds(GuestRecords.Machine(), static (ref record) => record.DeviceCount = GuestRecord.DeviceLimit + 1));
        Assert.False(Holds(GuestRecords.Machine(), static (ref record) => record.DeviceCount = 1));
        Assert.False(Holds(GuestRecords.Machine(), static (ref record) => record.DeviceCount = 3));
        Assert.False(Holds(GuestRecords.Machine(), static (ref record) => record.Vcpus = 0));
        Assert.False(Holds(GuestRecords.Machine(), static (ref record) => record.Devices[0].Kind = VirtioKind.None));
        Assert.False(Holds(GuestRecords.Machine(), static (ref record) => record.Devices[0].Kind = VirtioKind.Balloon + 1));
        Assert.False(Holds(GuestRecords.Machine(), static (ref record) => record.Devices[0].QueueCount = DeviceRecord.QueueLimit + 1));
        Assert.False(Holds(GuestRecords.Machine(), static (ref record) => record.Devices[0].QueueCount = 0));
        Assert.False(Holds(GuestRecords.Machine(), static (ref record) => record.Devices[0].Counters[DeviceCounters.Of(VirtioKind.Block).Count] = 1));
        Assert.True(Holds(GuestRecords.Machine(), static (ref record) => record.Devices[0].Counters[DeviceCounters.Of(VirtioKind.Block).Count - 1] = 1));
    }

    [Fact]
    public void NoKindCountsMoreThanThereIsRoomFor() =>
        Assert.All(Enum.GetValues<VirtioKind>(), kind =>
        {
            Assert.InRange(DeviceCounters.Of(kind).Count, kind == VirtioKind.None ? 0 : 3, DeviceCounters.Limit);
            Assert.Equal(DeviceCounters.Of(kind).Count, DeviceCounters.Of(kind).Distinct().Count());
        });
}
