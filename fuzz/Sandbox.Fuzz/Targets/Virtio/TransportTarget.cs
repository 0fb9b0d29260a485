using System.Buffers.Binary;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Fuzz.Targets.Virtio;

/// <summary>
/// Sequences of register accesses to a device: write, activate, rewrite, notify, reset, and again; with pauses and
/// snapshots in between. The oracle is a model of the device's life.
/// </summary>
/// <remarks>Input: records of 8: operation, register, length of the access, queue, number (4).</remarks>
sealed class TransportTarget : FuzzTarget
{
    private const int Queues = 2;
    private const ushort QueueSize = 8;

    private readonly TestRam _ram = new(128 << 10);

    public override string Name => "virtio";

    public override string Summary => "registers of a virtio device, in any order";

    public override int MaximumLength => 8 * 128;

    public override int RecordLength => 8;

    // An input may make the device go on in another one with each record.
    public override long AllocationLimit => 1 << 20;

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        yield return ("whole", [3, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
        yield return ("rewrite",
        [
            3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0x0e, 4, 0, 0xff, 0xff, 0, 0,
            0, 0x11, 4, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0x1c, 4, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0,
        ]);
        yield return ("steps",
        [
            2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 1, 0, 0, 0, 0,
            2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0, 0, 1, 0x70, 4, 0, 0, 0, 0, 0,
        ]);
        yield return ("saved",
        [
            3, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0,
            8, 0, 0, 0, 0, 0, 0, 0,
        ]);
    }

    public override bool Run(ReadOnlySpan<byte> input)
    {
        _ram.Clear();
        EchoDevice device = new(_ram.Ram, Queues, QueueSize);
        TestDriver driver = new(device, _ram);
        TransportModel model = new(_ram, device.Features);
        bool wasRunning = false;
        Span<byte> record = stackalloc byte[RecordLength];
        try
        {
            for (int at = 0; at < input.Length; at += RecordLength)
            {
                record.Clear();
                input[at..Math.Min(at + RecordLength, input.Length)].CopyTo(record);
                Step(record, ref driver, model);
                driver.Run();
                Check(driver, model);
                wasRunning |= model.IsRunning;
            }
        }
        finally
        {
            driver.Dispose();
        }
        return wasRunning;
    }

    private void Step(ReadOnlySpan<byte> record, ref TestDriver driver, TransportModel model)
    {
        uint number = BinaryPrimitives.ReadUInt32LittleEndian(record[4..]);
        int queue = record[3] % Queues;
        switch (record[0] % 9)
        {
            case 0:
                Write(driver, model, 4 * (record[1] % 0x40), number);
                break;
            case 1:
                Access(driver, model, record[1] + (number & 0x1f00), record[2], number);
                break;
            case 2:
                NextStep(driver, model, queue);
                break;
            case 3:
                Start(driver, model, (number & 1) == 0 ? driver.Device.Features : 1UL << VIRTIO_F_VERSION_1);
                break;
            case 4:
                Request(driver, model, queue);
                break;
            case 5:
                driver.Queues[queue].AvailableIndex = (ushort)number;
                Write(driver, model, VIRTIO_MMIO_QUEUE_NOTIFY, (uint)queue);
                break;
            case 6:
                driver.Transport.Pause();
                model.IsPaused = true;
                break;
            case 7:
                driver.Transport.Resume();
                model.IsPaused = false;
                break;
            case 8:
                Move(ref driver, model);
                break;
        }
    }

    private static void Write(TestDriver driver, TransportModel model, int register, uint value)
    {
        driver.Write(register, value);
        model.Write(register, value);
    }

    /// <summary>One access of any length anywhere.</summary>
    private static void Access(TestDriver driver, TransportModel model, ulong offset, byte length, uint number)
    {
        byte[] data = new byte[1 << (length % 4)];
        if ((length & 0x80) != 0)
        {
            if (data.Length >= sizeof(uint))
                BinaryPrimitives.WriteUInt32LittleEndian(data, number);
            driver.Transport.Write(offset, data);
            if (data.Length == 4 && offset % 4 == 0 && offset < VIRTIO_MMIO_CONFIG)
                model.Write((int)offset, number);
            return;
        }
        driver.Transport.Read(offset, data);
    }

    /// <summary>What a driver that follows the rules does next.</summary>
    private static void NextStep(TestDriver driver, TransportModel model, int queue)
    {
        switch (model.Status)
        {
            case 0:
                Write(driver, model, VIRTIO_MMIO_STATUS, 1);
                break;
            case 1:
                Write(driver, model, VIRTIO_MMIO_STATUS, 3);
                break;
            case 3:
                Agree(driver, model, driver.Device.Features);
                break;
            case 11 when !model.IsReady(queue):
                Enable(driver, model, queue);
                break;
            case 11:
                Write(driver, model, VIRTIO_MMIO_STATUS, 15);
                break;
            default:
                Write(driver, model, VIRTIO_MMIO_STATUS, 0);
                break;
        }
    }

    private static void Start(TestDriver driver, TransportModel model, ulong features)
    {
        Write(driver, model, VIRTIO_MMIO_STATUS, 0);
        Write(driver, model, VIRTIO_MMIO_STATUS, 1);
        Write(driver, model, VIRTIO_MMIO_STATUS, 3);
        Agree(driver, model, features);
        for (int i = 0; i < Queues; i++)
            Enable(driver, model, i);
        Write(driver, model, VIRTIO_MMIO_STATUS, 15);
    }

    private static void Agree(TestDriver driver, TransportModel model, ulong features)
    {
        Write(driver, model, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
        Write(driver, model, VIRTIO_MMIO_DRIVER_FEATURES, (uint)features);
        Write(driver, model, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
        Write(driver, model, VIRTIO_MMIO_DRIVER_FEATURES, (uint)(features >> 32));
        Write(driver, model, VIRTIO_MMIO_STATUS, 11);
    }

    private static void Enable(TestDriver driver, TransportModel model, int number)
    {
        TestQueue queue = driver.Queues[number];
        Write(driver, model, VIRTIO_MMIO_QUEUE_SEL, (uint)number);
        Write(driver, model, VIRTIO_MMIO_QUEUE_NUM, queue.Size);
        Write(driver, model, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint)queue.Descriptors);
        Write(driver, model, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint)(queue.Descriptors >> 32));
        Write(driver, model, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint)queue.Available);
        Write(driver, model, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint)(queue.Available >> 32));
        Write(driver, model, VIRTIO_MMIO_QUEUE_USED_LOW, (uint)queue.Used);
        Write(driver, model, VIRTIO_MMIO_QUEUE_USED_HIGH, (uint)(queue.Used >> 32));
        Write(driver, model, VIRTIO_MMIO_QUEUE_READY, 1);
    }

    /// <summary>A request on rings that begin anew, where the device has begun anew as well.</summary>
    private static void Request(TestDriver driver, TransportModel model, int number)
    {
        int before = ((EchoDevice)driver.Device).Served;
        driver.Queues[number].Send(new Piece(TestRam.HighStart, 4), new Piece(TestRam.HighStart + 8, 4, true));
        Write(driver, model, VIRTIO_MMIO_QUEUE_NOTIFY, (uint)number);
        driver.Run();
        OracleException.Check(
            ((EchoDevice)driver.Device).Served == before || model.IsRunning, "a request was served before its time");
    }

    /// <summary>The device's state goes on in another device.</summary>
    private void Move(ref TestDriver driver, TransportModel model)
    {
        driver.Transport.Pause();
        driver.Run();
        TransportState state = driver.Transport.Save();
        EchoDevice device = new(_ram.Ram, Queues, QueueSize);
        TestDriver other = new(device, _ram);
        other.Transport.Pause();
        OracleException.Check(other.Transport.TryRestore(state), "a state that was is refused");
        driver.Dispose();
        driver = other;
        model.ForgetUnfinished();
        if (!model.IsPaused)
            driver.Transport.Resume();
    }

    private static void Check(TestDriver driver, TransportModel model)
    {
        int status = driver.Status & ~VIRTIO_CONFIG_S_NEEDS_RESET;
        OracleException.Check(status == model.Status, $"status {status:x} instead of {model.Status:x}");
        OracleException.Check(!driver.NeedsReset || model.IsRunning, "an error before anything ran");
        OracleException.Check(
            (driver.Read(VIRTIO_MMIO_INTERRUPT_STATUS) & ~3u) == 0, "an interrupt that does not exist");
        for (int i = 0; i < Queues; i++)
        {
            QueueState queue = driver.Device.Queues[i].Save();
            OracleException.Check(queue.IsReady == model.IsReady(i), $"queue {i} ready: {queue.IsReady}");
            OracleException.Check(!queue.IsReady || model.Agrees(i, queue), "a queue that is elsewhere");
        }
    }
}
