using Sandbox.Host;
using Sandbox.Vmm.Tests.Virtio;

namespace Sandbox.Fuzz.Targets.Virtio;

/// <summary>Where a device may have written by now, and what the rest of RAM should be.</summary>
sealed class WriteMap
{
    /// <summary>Of one chain.</summary>
    private const int MaximumPieces = 9;

    private readonly TestRam _ram;
    private readonly TestQueue[] _queues;
    private readonly byte[] _expected;
    private readonly bool[] _mayChange;
    private readonly Dictionary<(int Queue, uint Head), uint> _room = [];
    private readonly ushort[] _seen;

    public WriteMap(TestRam ram, TestQueue[] queues)
    {
        _ram = ram;
        _queues = queues;
        _expected = new byte[2 * ram.BytesEach];
        _mayChange = new bool[_expected.Length];
        _seen = new ushort[queues.Length];
        Begin();
    }

    /// <summary>All of RAM is as the driver wants it, and nothing is available.</summary>
    public void Begin()
    {
        Array.Clear(_expected);
        Array.Clear(_mayChange);
        Array.Clear(_seen);
        _room.Clear();
        foreach (TestQueue queue in _queues)
            Allow(queue.Used, 6 + (8u * queue.Size));
        foreach (TestQueue queue in _queues)
            Follow(queue.Descriptors, 0x2000);
    }

    /// <summary>Chains that the device has returned.</summary>
    public int Returned { get; private set; }

    /// <summary>The driver wrote here.</summary>
    public void Follow(ulong address, uint length) =>
        _ram.Bytes(address, (int)length).CopyTo(_expected.AsSpan(Index(address)));

    /// <summary>Makes a chain available.</summary>
    public void Send(int number, Piece[] pieces)
    {
        Count(number);
        TestQueue queue = _queues[number];
        // No descriptor that the device may still read is used again.
        if (((ushort)(queue.AvailableIndex - queue.UsedIndex) + 1) * MaximumPieces > queue.Size)
            return;
        ushort head = queue.Send(pieces);
        Follow(queue.Descriptors, 16u * queue.Size);
        Follow(queue.Available, 6 + (2u * queue.Size));
        _room[(number, head)] = (uint)pieces.Where(piece => piece.IsWritable).Sum(piece => piece.Length);
        foreach (Piece piece in pieces)
            if (piece.IsWritable && piece.Address >= TestRam.HighStart)
                Allow(piece.Address, piece.Length);
    }

    public void Check(bool mayWriteAnywhere)
    {
        for (int i = 0; i < _seen.Length; i++)
            Count(i);
        if (mayWriteAnywhere)
            return;
        ReadOnlySpan<byte> low = _ram.Bytes(TestRam.LowStart, (int)_ram.BytesEach);
        ReadOnlySpan<byte> high = _ram.Bytes(TestRam.HighStart, (int)_ram.BytesEach);
        for (int i = 0; i < _expected.Length; i++)
        {
            byte now = i < low.Length ? low[i] : high[i - low.Length];
            OracleException.Check(now == _expected[i] || _mayChange[i], "memory that was no buffer");
        }
    }

    private void Count(int number)
    {
        TestQueue queue = _queues[number];
        for (; _seen[number] != queue.UsedIndex; _seen[number]++)
        {
            vring_used_elem element = queue.UsedElement(_seen[number]);
            OracleException.Check(
                _room.Remove((number, element.id), out uint room), "a chain that was not there to return");
            OracleException.Check(element.len <= room, "more bytes than there was room for");
            Returned++;
        }
    }

    private void Allow(ulong address, uint length) => _mayChange.AsSpan(Index(address), (int)length).Fill(true);

    private int Index(ulong address) =>
        address >= TestRam.HighStart
            ? (int)(_ram.BytesEach + (address - TestRam.HighStart)) : (int)(address - TestRam.LowStart);
}
