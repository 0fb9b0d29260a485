using System.Buffers.Binary;
using Sandbox.Host;
using Sandbox.Vmm.Memory;

namespace Sandbox.Vmm.Personality.Loader;

/// <summary>What the vDSO computes times from; see <see cref="VvarLayout"/>.</summary>
public readonly record struct VvarTimes
{
    /// <summary>False sends every question to the VMM.</summary>
    public required bool UseTsc { get; init; }

    public ulong CycleLast { get; init; }

    public ulong Multiplier { get; init; }

    public int Shift { get; init; }

    /// <summary>Nanoseconds at <see cref="CycleLast"/>, never negative.</summary>
    public long Realtime { get; init; }

    public long Monotonic { get; init; }

    public long BootTime { get; init; }
}

/// <summary>
/// Writes the vDSO's data page so that readers on other CPUs never act on a mixture of old and new. One writer at a
/// time; readers are the guest's threads, which retry while the sequence is odd or has changed.
/// </summary>
public sealed class VvarPage
{
    private readonly Action<int, ReadOnlyMemory<byte>> _write;
    private readonly Lock _lock = new();
    private readonly byte[] _buffer = new byte[VvarLayout.End];
    private uint _sequence;

    internal VvarPage(PagedObject page)
        : this((offset, bytes) => page.Write(offset, bytes.Span))
    {
    }

    /// <param name="write">
    /// Stores bytes at an offset of the page: what one call stored is visible to the guest before the next begins.
    /// </param>
    public VvarPage(Action<int, ReadOnlyMemory<byte>> write)
    {
        _write = write;
        SetUint(VvarLayout.CpuCount, 1);
    }

    /// <param name="mode">One of <see cref="VvarLayout"/>'s CPU modes.</param>
    /// <param name="count">CPU numbers are below this.</param>
    internal void SetCpuSource(uint mode, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        lock (_lock)
        {
            StoreSequence(_sequence + 1);
            SetUint(VvarLayout.CpuMode, mode);
            SetUint(VvarLayout.CpuCount, (uint)count);
            StoreContent();
        }
    }

    public void SetTimes(VvarTimes times) => ChangeTimes(() => times);

    /// <summary>Sets times that are computed when no reader acts any more on the ones before.</summary>
    public void ChangeTimes(Func<VvarTimes> compute)
    {
        lock (_lock)
        {
            StoreSequence(_sequence + 1);
            VvarTimes times = compute();
            ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)times.Shift, 63u);
            SetUint(VvarLayout.ClockMode, times.UseTsc ? VvarLayout.ModeTsc : VvarLayout.ModeSystemCall);
            SetUlong(VvarLayout.CycleLast, times.CycleLast);
            SetUlong(VvarLayout.Multiplier, times.Multiplier);
            SetUint(VvarLayout.Shift, (uint)times.Shift);
            SetBase(Libc.CLOCK_REALTIME, times.Realtime);
            SetBase(Libc.CLOCK_REALTIME_COARSE, times.Realtime);
            SetBase(Libc.CLOCK_MONOTONIC, times.Monotonic);
            SetBase(Libc.CLOCK_MONOTONIC_COARSE, times.Monotonic);
            SetBase(Libc.CLOCK_BOOTTIME, times.BootTime);
            StoreContent();
        }
    }

    // Three stores in this order: odd sequence, content, even sequence. x86 makes stores of one CPU visible in program
    // order; the barriers keep the compiler from moving them.
    private void StoreContent()
    {
        _write(sizeof(uint), _buffer.AsMemory(sizeof(uint)));
        Interlocked.MemoryBarrier();
        StoreSequence(_sequence + 1);
    }

    private void StoreSequence(uint value)
    {
        _sequence = value;
        SetUint(VvarLayout.Sequence, value);
        _write(VvarLayout.Sequence, _buffer.AsMemory(VvarLayout.Sequence, sizeof(uint)));
        Interlocked.MemoryBarrier();
    }

    private void SetBase(int clock, long nanoseconds)
    {
        var (seconds, rest) = Math.DivRem(Math.Max(nanoseconds, 0), HostClock.NanosecondsPerSecond);
        int offset = VvarLayout.BaseTimes + clock * VvarLayout.BaseTimeSize;
        SetUlong(offset, (ulong)seconds);
        SetUlong(offset + sizeof(ulong), (ulong)rest);
    }

    private void SetUint(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_buffer.AsSpan(offset), value);

    private void SetUlong(int offset, ulong value) =>
        BinaryPrimitives.WriteUInt64LittleEndian(_buffer.AsSpan(offset), value);
}
