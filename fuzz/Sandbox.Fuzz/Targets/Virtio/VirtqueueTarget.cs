using Sandbox.Host;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Fuzz.Targets.Virtio;

/// <summary>
/// A driver that writes rings, descriptors and tables as it likes, and a device that pops, pushes and publishes. The
/// oracle is a slow walker over a copy of the memory, and that copy: nothing changes but what it says.
/// </summary>
/// <remarks>
/// Input: log2 of the size (1), features (1), the first index (2), unused (4); then records of 8: operation, index,
/// flags, next, kind of address, kind of length, number (2).
/// </remarks>
sealed class VirtqueueTarget : FuzzTarget
{
    private const ushort MaximumSize = 16;
    private const ulong RamBytes = 16 << 10;

    private readonly TestRam _ram = new(RamBytes);
    private readonly DescriptorChain _chain = new(MaximumSize);

    public override string Name => "virtqueue";

    public override string Summary => "a split virtqueue's rings, descriptors and indirect tables";

    public override int MaximumLength => 8 * 129;

    public override int RecordLength => 8;

    public override long AllocationLimit => 64 << 10;

    public override long OracleAllocation => _oracleAllocation;

    private long _oracleAllocation;

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        yield return ("direct",
        [
            3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 16, 0, 0, 1, 2, 0, 0, 0, 32, 1,
            2, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 9, 0, 6, 0, 0, 0, 0, 0, 0, 0,
        ]);
        yield return ("indirect",
        [
            4, 3, 0xff, 0xff, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0, 16, 0, 1, 1, 2, 0, 1, 0, 32, 1,
            0, 2, 4, 0, 6, 3, 2, 0, 2, 2, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 9, 0,
            6, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0,
        ]);
        yield return ("loop",
        [
            2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 16, 0, 0, 1, 1, 0, 0, 0, 32, 1,
            2, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0,
        ]);
    }

    public override bool Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        ushort size = (ushort)(1 << (reader.Byte() % 5));
        byte features = reader.Byte();
        ushort first = reader.Word();
        reader.Bytes(4);
        _ram.Clear();
        TestQueue driver = new(_ram, TestRam.LowStart, size);
        QueueModel model = new(_ram, driver, MaximumSize, (features & 1) != 0, (features & 2) != 0, first);
        SplitQueue queue = new(_ram.Ram, MaximumSize);
        QueueState state = new(size, true, driver.Descriptors, driver.Available, driver.Used, first, first);
        OracleException.Check(queue.TryRestore(state), "a queue that could be was refused");
        driver.AvailableIndex = first;
        queue.Activate(model.Features);
        model.ExpectNotifications();

        bool hasPopped = false;
        while (!reader.IsAtEnd)
        {
            byte operation = reader.Byte();
            hasPopped |= Step(ref reader, operation, queue, driver, model);
            _oracleAllocation = model.Allocated;
        }
        model.CheckMemory();
        return hasPopped || model.IsBroken;
    }

    private bool Step(ref InputReader reader, byte operation, SplitQueue queue, TestQueue driver, QueueModel model)
    {
        byte index = reader.Byte();
        byte flags = reader.Byte();
        byte next = reader.Byte();
        byte addressKind = reader.Byte();
        byte lengthKind = reader.Byte();
        ushort number = reader.Word();
        switch (operation % 11)
        {
            case 0 or 1:
                vring_desc descriptor = new()
                {
                    addr = Address(addressKind, number, driver),
                    len = Length(lengthKind, number),
                    flags = (ushort)(flags % 8),
                    next = next,
                };
                if (operation % 11 == 0)
                    driver.Descriptor(index % driver.Size) = descriptor;
                else
                    driver.IndirectDescriptor(index % (2 * MaximumSize)) = descriptor;
                break;
            case 2:
                driver.MakeAvailable(index);
                break;
            case 3:
                driver.AvailableIndex = number;
                break;
            case 4:
                return Pop(queue, model);
            case 5 when model.CanPush:
                queue.Push(_chain.Head, number);
                model.ExpectPush(_chain.Head, number);
                break;
            case 6:
                driver.UsedEvent = number;
                driver.AvailableFlags = flags;
                bool wantsInterrupt = queue.Publish();
                OracleException.Check(wantsInterrupt == model.ExpectPublish(), "an interrupt too many, or none");
                break;
            case 7:
                bool hasMore = queue.EnableNotifications();
                OracleException.Check(hasMore == model.ExpectNotifications(), "a chain was overlooked");
                break;
            case 8:
                queue.DisableNotifications();
                model.ExpectNoNotifications();
                break;
            case 9:
                _ram.At<ushort>(TestRam.LowStart + (number & 0x1ffeu)) = (ushort)(index | flags << 8);
                break;
            case 10 when model.CanUnpop:
                queue.Unpop();
                model.Unpop();
                break;
        }
        model.FollowDriver();
        return false;
    }

    private bool Pop(SplitQueue queue, QueueModel model)
    {
        bool expected = model.TryPop(out ushort head, out List<Piece> pieces);
        bool popped = queue.TryPop(_chain);
        OracleException.Check(popped == expected, popped ? "a chain that is none" : "no chain where one is");
        OracleException.Check(popped || model.IsBroken == (queue.Fault != QueueFault.None), "a fault of its own");
        if (!popped)
            return false;
        model.CheckMemory();
        OracleException.Check(_chain.Head == head, "another head");
        Span<iovec> vector = stackalloc iovec[MaximumSize];
        int readable = _chain.MapReadable(0, _chain.ReadableBytes, vector);
        int writable = _chain.MapWritable(0, _chain.WritableBytes, vector[readable..]);
        OracleException.Check(readable + writable == pieces.Count, "more pieces, or fewer");
        for (int i = 0; i < pieces.Count; i++)
            OracleException.Check(
                IsAt(vector[i], pieces[i]) && i >= readable == pieces[i].IsWritable, "a piece somewhere else");
        return true;
    }

    private unsafe bool IsAt(in iovec buffer, Piece piece)
    {
        fixed (byte* expected = &_ram.At<byte>(piece.Address))
            return buffer.iov_base == expected && buffer.iov_len == piece.Length;
    }

    private static ulong Address(byte kind, ushort number, TestQueue driver) => (kind % 8) switch
    {
        0 => TestRam.HighStart + number,
        1 => TestRam.LowStart + number,
        2 => TestRam.LowStart + RamBytes - (number % 32u),
        3 => number,
        4 => ulong.MaxValue - (number % 32u),
        5 => 0xd000_0000u + number,
        6 => driver.IndirectTable,
        _ => driver.Descriptors,
    };

    private static uint Length(byte kind, ushort number) => (kind % 6) switch
    {
        0 => (number % 512u) + 1,
        1 => 0,
        2 => uint.MaxValue - number,
        3 => 16u * (number % 20u),
        4 => 16,
        _ => number,
    };
}
