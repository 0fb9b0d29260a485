using System.Buffers.Binary;
using Sandbox.Vmm.Devices;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Virtio;

/// <summary>Counts what a device raises.</summary>
sealed class CountingLine : IInterruptLine
{
    private int _count;

    public int Count => Volatile.Read(ref _count);

    public void Raise() => Interlocked.Increment(ref _count);
}

/// <summary>A driver, through registers. Where the device has no threads, <see cref="Run"/> does their work.</summary>
sealed class TestDriver : IDisposable
{
    private const ulong QueueStride = 0x8000;

    /// <param name="queues">Of a driver whose device goes on in this one; null for new ones.</param>
    public TestDriver(VirtioDevice device, TestRam ram, TestQueue[]? queues = null)
    {
        Ram = ram;
        Transport = new MmioTransport(device, Line);
        Queues = queues ?? [.. device.Queues.Select((queue, number) =>
            new TestQueue(ram, TestRam.LowStart + (QueueStride * (ulong)number), queue.MaximumSize))];
    }

    public TestRam Ram { get; }

    public MmioTransport Transport { get; }

    public CountingLine Line { get; } = new();

    public TestQueue[] Queues { get; }

    public VirtioDevice Device => Transport.Device;

    public int Status => (int)Read(VIRTIO_MMIO_STATUS);

    public bool NeedsReset => (Status & VIRTIO_CONFIG_S_NEEDS_RESET) != 0;

    public uint Read(int register)
    {
        byte[] data = new byte[4];
        Transport.Read((ulong)register, data);
        return BinaryPrimitives.ReadUInt32LittleEndian(data);
    }

    public void Write(int register, uint value)
    {
        byte[] data = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(data, value);
        Transport.Write((ulong)register, data);
    }

    public T Configuration<T>(int offset)
        where T : unmanaged
    {
        T value = default;
        Transport.Read(VIRTIO_MMIO_CONFIG + (ulong)offset,
            System.Runtime.InteropServices.MemoryMarshal.AsBytes(new Span<T>(ref value)));
        return value;
    }

    public ulong OfferedFeatures()
    {
        Write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
        ulong low = Read(VIRTIO_MMIO_DEVICE_FEATURES);
        Write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
        return low | (ulong)Read(VIRTIO_MMIO_DEVICE_FEATURES) << 32;
    }

    /// <summary>Steps 1 to 6 of virtio 1.2, 3.1.1.</summary>
    public void Agree(ulong features)
    {
        Write(VIRTIO_MMIO_STATUS, 0);
        Write(VIRTIO_MMIO_STATUS, 1);
        Write(VIRTIO_MMIO_STATUS, 3);
        Write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
        Write(VIRTIO_MMIO_DRIVER_FEATURES, (uint)features);
        Write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
        Write(VIRTIO_MMIO_DRIVER_FEATURES, (uint)(features >> 32));
        Write(VIRTIO_MMIO_STATUS, 11);
    }

    /// <summary>Step 7: hands a queue over.</summary>
    public void Enable(int number)
    {
        TestQueue queue = Queues[number];
        Write(VIRTIO_MMIO_QUEUE_SEL, (uint)number);
        Write(VIRTIO_MMIO_QUEUE_NUM, queue.Size);
        Write(VIRTIO_MMIO_QUEUE_DESC_LOW, (uint)queue.Descriptors);
        Write(VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint)(queue.Descriptors >> 32));
        Write(VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint)queue.Available);
        Write(VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint)(queue.Available >> 32));
        Write(VIRTIO_MMIO_QUEUE_USED_LOW, (uint)queue.Used);
        Write(VIRTIO_MMIO_QUEUE_USED_HIGH, (uint)(queue.Used >> 32));
        Write(VIRTIO_MMIO_QUEUE_READY, 1);
    }

    /// <summary>The whole sequence, with all that is offered unless told otherwise.</summary>
    public TestDriver Start(ulong? features = null)
    {
        Agree(features ?? OfferedFeatures());
        for (int i = 0; i < Queues.Length; i++)
            Enable(i);
        Write(VIRTIO_MMIO_STATUS, 15);
        Run();
        return this;
    }

    public void Notify(int queue) => Write(VIRTIO_MMIO_QUEUE_NOTIFY, (uint)queue);

    /// <summary>Does what the device's threads would do, until there is nothing left to do.</summary>
    public void Run()
    {
        bool isBusy = true;
        for (int turn = 0; isBusy; turn++)
        {
            if (turn == 10_000)
                throw new TimeoutException("the device finds work for ever");
            isBusy = false;
            foreach (DeviceWorker worker in Device.Workers)
                isBusy |= worker.RunOnce(0);
        }
    }

    public void NotifyAndRun(int queue)
    {
        Notify(queue);
        Run();
    }

    public void Dispose() => Device.Dispose();
}
