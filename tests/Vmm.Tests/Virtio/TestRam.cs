using System.Runtime.CompilerServices;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Tests.Virtio;

/// <summary>Two pieces of RAM with a hole between them, as a guest has it, and the guest's own view of them.</summary>
sealed unsafe class TestRam : IDisposable
{
    public const ulong LowStart = 0x10_0000;
    public const ulong HighStart = 0x1_0000_0000;

    private readonly MemoryMapping _low;
    private readonly MemoryMapping _high;

    public TestRam(ulong bytesEach = 1 << 20)
    {
        BytesEach = bytesEach;
        _low = MemoryMapping.Map((nuint)bytesEach, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE);
        _high = MemoryMapping.Map((nuint)bytesEach, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE);
        Ram = new GuestRam(
            new RamRegion(new PhysicalAddress(HighStart), _high.Address, bytesEach),
            new RamRegion(new PhysicalAddress(LowStart), _low.Address, bytesEach));
    }

    public ulong BytesEach { get; }

    public GuestRam Ram { get; }

    /// <summary>The guest's own load or store. The address is in RAM.</summary>
    public ref T At<T>(ulong address)
        where T : unmanaged
    {
        bool isHigh = address >= HighStart;
        ulong offset = address - (isHigh ? HighStart : LowStart);
        if (offset > BytesEach - (ulong)sizeof(T))
            throw new ArgumentOutOfRangeException(nameof(address));
        return ref Unsafe.AsRef<T>((isHigh ? _high : _low).Address + offset);
    }

    public Span<byte> Bytes(ulong address, int count)
    {
        _ = At<byte>(address + (ulong)Math.Max(count - 1, 0));
        fixed (byte* p = &At<byte>(address))
            return new Span<byte>(p, count);
    }

    public void Clear()
    {
        new Span<byte>(_low.Address, (int)_low.Length).Clear();
        new Span<byte>(_high.Address, (int)_high.Length).Clear();
    }

    public void Dispose()
    {
        _low.Dispose();
        _high.Dispose();
    }
}
