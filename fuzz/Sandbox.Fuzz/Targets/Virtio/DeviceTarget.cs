using System.Buffers.Binary;
using Sandbox.Host;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Fuzz.Targets.Virtio;

/// <summary>
/// Requests to each device: chains that are right for it unless the input says otherwise, with things that happen on
/// the host in between; now and then it goes on in another device. Devices write where they were told to and nowhere
/// else, return each chain once, and break only with a reason.
/// </summary>
/// <remarks>
/// Input: which device (1), features that are left out (1), how it is granted (1), whether it gets threads at the end
/// (1), unused (4); then records of 8: operation, queue, two bytes, number (4).
/// </remarks>
sealed class DeviceTarget : FuzzTarget
{
    private const ulong Staging = TestRam.HighStart;
    private const uint StagingBytes = 64 << 10;
    private const ulong Answers = TestRam.HighStart + StagingBytes;

    private readonly TestRam _ram = new(512 << 10);

    public override string Name => "virtio-devices";

    public override string Summary => "requests to virtio devices: rng, block, vsock, console, net, balloon, block with rings";

    public override int MaximumLength => 8 * 129;

    public override int RecordLength => 8;

    public override long AllocationLimit => 8 << 20;

    public override IEnumerable<(string Name, byte[] Input)> Seeds() => DeviceSeeds.All();

    public override bool Run(ReadOnlySpan<byte> input)
    {
        Span<byte> record = stackalloc byte[RecordLength];
        record.Clear();
        input[..Math.Min(RecordLength, input.Length)].CopyTo(record);
        _ram.Clear();
        using DeviceUnderTest device = new(_ram, record[0], record[2]);
        ulong features = device.Driver.OfferedFeatures() & ~(record[1] * 0x0101_0101UL & device.Optional);
        bool hasThreads = (record[3] & 1) != 0;
        device.Driver.Start(features);
        if (device.Driver.Status != 15)
            return false;
        WriteMap map = new(_ram, device.Driver.Queues);
        for (int at = RecordLength; at < input.Length; at += RecordLength)
        {
            record.Clear();
            input[at..Math.Min(at + RecordLength, input.Length)].CopyTo(record);
            if (device.Driver.NeedsReset)
            {
                OracleException.Check(device.HasFault, "a device that broke without a reason");
                map.Check(device.MayWriteAnywhere);
                Restart(device, features);
                map.Begin();
            }
            Step(record, device, map);
            device.Driver.Run();
            device.Settle();
        }
        map.Check(device.MayWriteAnywhere);
        device.CheckCounts();
        if (hasThreads)
            device.Driver.Transport.Start();
        return map.Returned > 0;
    }

    /// <summary>As a driver does whose device is broken.</summary>
    private void Restart(DeviceUnderTest device, ulong features)
    {
        device.Driver.Write(VIRTIO_MMIO_STATUS, 0);
        _ram.Clear();
        device.Driver.Start(features);
        OracleException.Check(device.Driver.Status == 15, "a device that does not start again");
    }

    private void Step(ReadOnlySpan<byte> record, DeviceUnderTest device, WriteMap map)
    {
        TestDriver driver = device.Driver;
        int queue = record[1] % driver.Queues.Length;
        uint number = BinaryPrimitives.ReadUInt32LittleEndian(record[4..]);
        switch (record[0] % 9)
        {
            case 0:
                // As this device wants it.
                Span<byte> place = _ram.Bytes(Staging, (int)StagingBytes);
                int length = device.Compose(place, queue, record[2], number, out uint room);
                map.Follow(Staging, StagingBytes);
                Send(driver, map, queue, (uint)length, room, record[3]);
                break;
            case 1:
                BinaryPrimitives.WriteUInt32LittleEndian(_ram.Bytes(Staging + (record[2] * 4u), 4), number);
                map.Follow(Staging, StagingBytes);
                Send(driver, map, queue, number % 600, record[3] * 64u, record[2]);
                break;
            case 2:
                device.HappenOutside(record[1], number);
                break;
            case 3:
                driver.Notify(queue);
                break;
            case 4:
                driver.Transport.Pause();
                driver.Run();
                driver.Transport.Resume();
                break;
            case 5:
                driver.Write(VIRTIO_MMIO_CONFIG + (record[2] % 16 * 4), number);
                break;
            case 6:
                device.Tell(number);
                break;
            case 7:
                device.Move();
                break;
            case 8:
                // A time may have come, or a notification that somebody waited for.
                driver.Notify(queue);
                foreach (DeviceWorker worker in driver.Device.Workers)
                    worker.RunOnce((int)(number % 4));
                break;
        }
    }

    /// <summary>A chain from the staging place, cut into pieces; rarely one that is wrong.</summary>
    private static void Send(TestDriver driver, WriteMap map, int queue, uint readable, uint writable, byte cut)
    {
        List<Piece> pieces = [];
        Cut(pieces, Staging, Math.Min(readable, StagingBytes), (cut & 3u) + 1, isWritable: false);
        Cut(pieces, Answers, Math.Min(writable, StagingBytes), ((uint)cut >> 2 & 3) + 1, isWritable: true);
        if ((cut & 0xf0) == 0xf0)
            pieces.Add(new Piece((cut & 1) == 0 ? 0xd000_0000 : Answers, cut & 0xfu, (cut & 2) != 0));
        if (pieces.Count == 0)
            return;
        map.Send(queue, [.. pieces]);
        driver.Notify(queue);
    }

    private static void Cut(List<Piece> pieces, ulong start, uint length, uint parts, bool isWritable)
    {
        for (uint i = 0, at = 0; i < parts && at < length; i++)
        {
            uint part = i + 1 == parts ? length - at : Math.Max(length / parts, 1);
            pieces.Add(new Piece(start + at, part, isWritable));
            at += part;
        }
    }
}
