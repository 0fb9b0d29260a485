using Sandbox.Host;
using Sandbox.Vmm.Tests.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Fuzz.Targets.Virtio;

/// <summary>
/// What a device may do with a queue, from the text of virtio 1.2, 2.7: slow, and with numbers that do not wrap. It
/// keeps a copy of all RAM, in which it makes the writes that the device should have made.
/// </summary>
sealed class QueueModel
{
    private const ulong Low = TestRam.LowStart, High = TestRam.HighStart;

    private readonly TestRam _ram;
    private readonly TestQueue _driver;
    private readonly int _maximum;
    private readonly bool _hasEventIndex;
    private readonly bool _hasIndirect;
    private readonly byte[] _low;
    private readonly byte[] _high;
    private ushort _nextAvailable;
    private ushort _nextUsed;
    private ushort _published;
    private int _popped;

    public QueueModel(TestRam ram, TestQueue driver, int maximum, bool hasEventIndex, bool hasIndirect, ushort first)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        _ram = ram;
        _driver = driver;
        _maximum = maximum;
        _hasEventIndex = hasEventIndex;
        _hasIndirect = hasIndirect;
        _low = new byte[ram.BytesEach];
        _high = new byte[ram.BytesEach];
        _nextAvailable = _nextUsed = _published = first;
        Allocated += GC.GetAllocatedBytesForCurrentThread() - before;
    }

    public ulong Features =>
        (_hasEventIndex ? 1UL << VIRTIO_RING_F_EVENT_IDX : 0) | (_hasIndirect ? 1UL << VIRTIO_RING_F_INDIRECT_DESC : 0);

    public bool IsBroken { get; private set; }

    /// <summary>Bytes that this oracle has cost.</summary>
    public long Allocated { get; private set; }

    /// <summary>A chain was popped and has not been pushed.</summary>
    public bool CanPush => _popped > 0;

    /// <summary>The chain that was popped last has not been pushed.</summary>
    public bool CanUnpop => _popped > 0;

    /// <summary>The driver wrote: that is how it is. The device has written nothing meanwhile.</summary>
    public void FollowDriver()
    {
        _ram.Bytes(Low, _low.Length).CopyTo(_low);
        _ram.Bytes(High, _high.Length).CopyTo(_high);
    }

    /// <summary>Nothing is otherwise than it should be.</summary>
    public void CheckMemory()
    {
        OracleException.Check(_ram.Bytes(Low, _low.Length).SequenceEqual(_low), "memory that nobody wrote");
        OracleException.Check(_ram.Bytes(High, _high.Length).SequenceEqual(_high), "memory that nobody wrote");
    }

    public bool TryPop(out ushort head, out List<Piece> pieces)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        FollowDriver();
        head = 0;
        pieces = [];
        if (IsBroken)
            return false;
        int waiting = (Word(_driver.Available + 2) - _nextAvailable + 65536) % 65536;
        if (waiting == 0)
            return false;
        head = Word(_driver.Available + 4 + (2u * (uint)(_nextAvailable % _driver.Size)));
        IsBroken = waiting > _driver.Size || !IsChain(head, pieces);
        if (!IsBroken)
        {
            _nextAvailable++;
            _popped++;
        }
        Allocated += GC.GetAllocatedBytesForCurrentThread() - before;
        return !IsBroken;
    }

    public void Unpop()
    {
        _nextAvailable--;
        _popped--;
    }

    public void ExpectPush(ushort head, uint bytes)
    {
        ulong element = _driver.Used + 4 + (8u * (uint)(_nextUsed % _driver.Size));
        Expect(element, BitConverter.GetBytes((uint)head));
        Expect(element + 4, BitConverter.GetBytes(bytes));
        _nextUsed++;
        _popped--;
        CheckMemory();
    }

    /// <summary>Whether the driver wants to hear of what is published now.</summary>
    public bool ExpectPublish()
    {
        SynchroniseDriver();
        bool wants = false;
        ushort wanted = Word(_driver.Available + 4 + (2u * _driver.Size));
        for (ushort at = _published; at != _nextUsed; at++)
            wants |= _hasEventIndex ? at == wanted : (Word(_driver.Available) & 1) == 0;
        if (_published != _nextUsed)
            Expect(_driver.Used + 2, BitConverter.GetBytes(_nextUsed));
        _published = _nextUsed;
        CheckMemory();
        return wants;
    }

    public bool ExpectNotifications()
    {
        SynchroniseDriver();
        if (IsBroken)
            return false;
        if (_hasEventIndex)
            Expect(_driver.Used + 4 + (8u * _driver.Size), BitConverter.GetBytes(_nextAvailable));
        else
            Expect(_driver.Used, BitConverter.GetBytes((ushort)0));
        CheckMemory();
        return Word(_driver.Available + 2) != _nextAvailable;
    }

    public void ExpectNoNotifications()
    {
        if (!_hasEventIndex)
            Expect(_driver.Used, BitConverter.GetBytes((ushort)1));
        CheckMemory();
    }

    // The driver's own writes of this step were made before the device's.
    private void SynchroniseDriver()
    {
        ulong end = _driver.Available + 6 + (2u * _driver.Size);
        int bytes = (int)(end - _driver.Available);
        _ram.Bytes(_driver.Available, bytes).CopyTo(_low.AsSpan((int)(_driver.Available - Low)));
    }

    private bool IsChain(ushort head, List<Piece> pieces)
    {
        ulong table = _driver.Descriptors;
        uint count = _driver.Size;
        uint at = head;
        bool isIndirect = false;
        while (at < count)
        {
            ulong descriptor = table + (16u * at);
            ulong address = BitConverter.ToUInt64(Read(descriptor, 8));
            uint length = BitConverter.ToUInt32(Read(descriptor + 8, 4));
            int flags = BitConverter.ToUInt16(Read(descriptor + 12, 2));
            bool hasNext = (flags & VRING_DESC_F_NEXT) != 0;
            at = BitConverter.ToUInt16(Read(descriptor + 14, 2));
            if (length == 0 || !IsRam(address, length))
                return false;
            if ((flags & VRING_DESC_F_INDIRECT) != 0)
            {
                if (!_hasIndirect || isIndirect || hasNext || length % 16 != 0)
                    return false;
                (isIndirect, table, count, at) = (true, address, length / 16, 0);
                continue;
            }
            pieces.Add(new Piece(address, length, (flags & VRING_DESC_F_WRITE) != 0));
            if (pieces.Count > _maximum)
                return false;
            if (!hasNext)
                return pieces.Sum(piece => (decimal)piece.Length) <= uint.MaxValue
                    && pieces.SequenceEqual(pieces.OrderBy(piece => piece.IsWritable));
        }
        return false;
    }

    private bool IsRam(ulong address, uint length)
    {
        decimal end = (decimal)address + length;
        return (address >= Low && end <= Low + (decimal)_low.Length)
            || (address >= High && end <= High + (decimal)_high.Length);
    }

    private ReadOnlySpan<byte> Read(ulong address, int count) =>
        address >= High ? _high.AsSpan((int)(address - High), count) : _low.AsSpan((int)(address - Low), count);

    private ushort Word(ulong address) => BitConverter.ToUInt16(Read(address, 2));

    private void Expect(ulong address, byte[] bytes) => bytes.CopyTo(_low, (int)(address - Low));
}
