using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Virtio;

/// <summary>
/// A page that holds what a driver reads of a virtio device's registers (virtio 1.2, 4.2.2), up to date at all times: a
/// machine shows it to its guest as memory that cannot be written, so that reading costs no exit. Registers that are
/// only written read as 0. Nothing that a device does depends on what is in the page.
/// </summary>
public sealed unsafe class RegisterPage : IDisposable
{
    /// <summary>Bytes of the longest configuration.</summary>
    public const int MaximumConfiguration = (int)MmioTransport.Length - VIRTIO_MMIO_CONFIG;

    private readonly MemoryMapping _page;

    /// <param name="configurationBytes">Of the device: up to <see cref="MaximumConfiguration"/>.</param>
    /// <exception cref="HostException">The host has no page left.</exception>
    internal RegisterPage(int configurationBytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(configurationBytes, MaximumConfiguration);
        ConfigurationBytes = configurationBytes;
        _page = MemoryMapping.Map(Page.Size, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE, what: "registers");
    }

    /// <summary>Where it is in the VMM: one page.</summary>
    public byte* Address => _page.Address;

    internal int ConfigurationBytes { get; }

    /// <summary>The device's own registers.</summary>
    internal Span<byte> Configuration => new(Address + VIRTIO_MMIO_CONFIG, ConfigurationBytes);

    /// <param name="register">Its offset, VIRTIO_MMIO_*.</param>
    internal ref int this[int register] => ref *(int*)(Address + register);

    /// <summary>As a guest that does not see the page reads it; behind its end there are zeroes.</summary>
    internal void Read(ulong offset, Span<byte> data)
    {
        data.Clear();
        ulong start = Math.Min(offset, Page.Size);
        ReadOnlySpan<byte> rest = new(Address + start, (int)(Page.Size - start));
        rest[..Math.Min(data.Length, rest.Length)].CopyTo(data);
    }

    public void Dispose() => _page.Dispose();
}
