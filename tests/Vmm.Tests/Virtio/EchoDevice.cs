using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Tests.Virtio;

/// <summary>Writes what it reads. Of its 16 bytes of configuration the first 4 are writable.</summary>
sealed class EchoDevice : RequestDevice
{
    public const int Kind = 42;
    public const int Feature = 5;

    public EchoDevice(GuestRam ram, int queues = 1, ushort size = 8)
        : base("echo", Kind, 1UL << Feature, 16, ram, new DeviceMetrics(queues), [.. Enumerable.Repeat(size, queues)])
    {
        InitialiseConfiguration(0x1122_3344_5566_7788UL);
        for (int i = 0; i < queues; i++)
            AddWorker(i);
    }

    public int Served { get; private set; }

    public int Activations { get; private set; }

    public int ResetCount { get; private set; }

    /// <summary>Called while a request is served.</summary>
    public Action? DuringRequest { get; set; }

    /// <summary>Requests are put off to this time.</summary>
    public long NotBefore { get; set; }

    public void Change(int offset, uint value) => ChangeConfiguration(offset, value);

    protected override RequestResult Serve(int queue, DescriptorChain chain)
    {
        if (NotBefore > Sandbox.Host.HostClock.MonotonicNanoseconds())
            return RequestResult.Later(NotBefore);
        DuringRequest?.Invoke();
        Served++;
        byte[] data = new byte[Math.Min(Math.Min(chain.ReadableBytes, chain.WritableBytes), 1 << 20)];
        chain.TryRead(0, data);
        chain.TryWrite(0, data);
        return RequestResult.Done((uint)data.Length);
    }

    protected internal override bool TryWriteConfiguration(uint offset, ReadOnlySpan<byte> data)
    {
        if (offset + data.Length > 4)
            return false;
        StoreConfiguration(offset, data);
        return true;
    }

    protected override void OnActivate() => Activations++;

    protected override void OnReset() => ResetCount++;
}
