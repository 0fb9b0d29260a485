using System.Runtime.Intrinsics.X86;
using Sandbox.Host;

namespace Sandbox.Vmm.Personality.Loader;

/// <summary>Reads the time-stamp counter together with the host's clocks.</summary>
/// <remarks>
/// .NET has no intrinsic for RDTSC, so a page with that one instruction is mapped when the sampler is created: before
/// the VMM gives up the right to map executable memory.
/// </remarks>
public sealed unsafe class TscSampler : IDisposable
{
    private const int Attempts = 8;

    /// <summary>A reading of the counter between two clock readings closer than this is as good as it gets.</summary>
    private const long GoodWindowNanoseconds = 500;

    private readonly MachineCode _code = new(HostTscBytes.Bytes, "time-stamp counter");
    private readonly delegate* unmanaged<ulong> _readTsc;
    private readonly ulong _guestOffset;

    /// <param name="guestOffset">The guest's counter minus the host's, modulo 2^64.</param>
    /// <exception cref="HostException">The host refuses an executable page.</exception>
    public TscSampler(ulong guestOffset)
    {
        _guestOffset = guestOffset;
        _readTsc = (delegate* unmanaged<ulong>)_code.Address;
    }

    /// <summary>Whether the counter runs at one rate whatever the CPU does (CPUID 0x80000007, EDX bit 8).</summary>
    public static bool IsInvariant
    {
        get
        {
            const int powerLeaf = unchecked((int)0x8000_0007), invariantBit = 1 << 8;
            return (uint)X86Base.CpuId(unchecked((int)0x8000_0000), 0).Eax >= unchecked((uint)powerLeaf)
                && (X86Base.CpuId(powerLeaf, 0).Edx & invariantBit) != 0;
        }
    }

    /// <summary>The host's counter, ordered after everything before.</summary>
    public ulong ReadHostTsc() => _readTsc();

    /// <summary>The guest's counter.</summary>
    public ulong ReadGuestTsc() => _readTsc() + _guestOffset;

    /// <summary>The best of a few attempts: the one with the least time between its clock readings.</summary>
    public ClockSample Take()
    {
        ClockSample best = default;
        long bestWindow = long.MaxValue;
        for (int i = 0; i < Attempts && bestWindow > GoodWindowNanoseconds; i++)
        {
            long before = HostClock.MonotonicNanoseconds();
            ulong tsc = _readTsc();
            long after = HostClock.MonotonicNanoseconds();
            if (after - before >= bestWindow)
                continue;
            long realtime = HostClock.RealtimeNanoseconds();
            long boot = HostClock.BootNanoseconds();
            long again = HostClock.MonotonicNanoseconds();
            // The other clocks were read this much later.
            long middle = before + (after - before) / 2;
            long delay = after + (again - after) / 2 - middle;
            bestWindow = after - before;
            best = new ClockSample(tsc + _guestOffset, middle, realtime - delay, boot - delay);
        }
        return best;
    }

    public void Dispose() => _code.Dispose();
}
