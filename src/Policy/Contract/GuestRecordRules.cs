using System.Runtime.InteropServices;

namespace Sandbox.Policy.Contract;

/// <summary>
/// Which records a VMM that counts can write: whoever reads one asks this first. What a VMM that has fallen says may
/// still be a lie, but of sizes that the record has room for, and numbers that add up.
/// </summary>
public static class GuestRecordRules
{
    /// <summary>No count of anything comes near, so that a sum of a few stays a number.</summary>
    public const ulong LargestNumber = long.MaxValue;

    public static bool Hold(in GuestRecord record)
    {
        foreach (ulong number in MemoryMarshal.Cast<GuestRecord, ulong>(new ReadOnlySpan<GuestRecord>(in record)))
            if (number > LargestNumber)
                return false;
        return record.Version == GuestRecord.CurrentVersion
            && Hold(record.ExitTimes) && Hold(record.MachineExitTimes) && HoldDevices(record) && HoldsCpuid(record);
    }

    private static bool Hold(ReadOnlySpan<LatencyRecord> all)
    {
        foreach (ref readonly LatencyRecord one in all)
            if (!Hold(one))
                return false;
        return true;
    }

    private static bool Hold(in LatencyRecord one) =>
        one.MinimumNanoseconds <= one.MaximumNanoseconds && one.MaximumNanoseconds <= one.SumNanoseconds
        && (one.Count != 0 || one.SumNanoseconds == 0);

    /// <summary>What is beyond a device's own numbers is nothing at all, so that a record has one form.</summary>
    private static bool HoldDevices(in GuestRecord record)
    {
        // Only the devices of machine guests are told of.
        if (record.DeviceCount > GuestRecord.DeviceLimit || (record.DeviceCount > 0 && record.Vcpus == 0))
            return false;
        int count = (int)record.DeviceCount;
        foreach (ref readonly DeviceRecord device in ((ReadOnlySpan<DeviceRecord>)record.Devices)[..count])
            if (!Holds(device))
                return false;
        return IsEmpty(((ReadOnlySpan<DeviceRecord>)record.Devices)[count..])
            && (HasBalloon(record) || IsEmpty(new ReadOnlySpan<BalloonRecord>(in record.Balloon)));
    }

    /// <summary>Whether one of its devices is a balloon.</summary>
    public static bool HasBalloon(in GuestRecord record)
    {
        int count = (int)Math.Min(record.DeviceCount, GuestRecord.DeviceLimit);
        foreach (ref readonly DeviceRecord device in ((ReadOnlySpan<DeviceRecord>)record.Devices)[..count])
            if (device.Kind == VirtioKind.Balloon)
                return true;
        return false;
    }

    private static bool Holds(in DeviceRecord device)
    {
        int counters = DeviceCounters.Of(device.Kind).Count;
        return counters > 0 && device.QueueCount <= DeviceRecord.QueueLimit && Hold(device.Queues)
            && IsEmpty(((ReadOnlySpan<ulong>)device.Counters)[counters..])
            && IsEmpty(((ReadOnlySpan<LatencyRecord>)device.Queues)[(int)device.QueueCount..]);
    }

    /// <summary>Numbers of 32 bits, and nothing beyond those that there are.</summary>
    private static bool HoldsCpuid(in GuestRecord record)
    {
        if (record.CpuidCount > GuestRecord.CpuidLimit || (record.CpuidCount > 0 && record.Vcpus == 0))
            return false;
        ReadOnlySpan<CpuidRecord> leaves = record.Cpuid;
        foreach (ulong number in MemoryMarshal.Cast<CpuidRecord, ulong>(leaves))
            if (number > uint.MaxValue)
                return false;
        return IsEmpty(leaves[(int)record.CpuidCount..]);
    }

    private static bool IsEmpty<T>(ReadOnlySpan<T> rest)
        where T : unmanaged => !MemoryMarshal.AsBytes(rest).ContainsAnyExcept((byte)0);
}
