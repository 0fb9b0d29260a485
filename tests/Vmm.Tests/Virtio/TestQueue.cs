using Sandbox.Host;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Virtio;

/// <summary>One buffer of a chain, as a driver sees it.</summary>
readonly record struct Piece(ulong Address, uint Length, bool IsWritable = false);

/// <summary>The driver's side of a split queue, which does what it is told, rules or not.</summary>
sealed class TestQueue(TestRam ram, ulong start, ushort size)
{
    private ushort _nextDescriptor;

    public ushort Size => size;

    public ulong Descriptors { get; } = start;

    public ulong Available { get; } = start + (16u * size);

    public ulong Used { get; } = start + (16u * size) + 4096;

    /// <summary>Where a table of as many descriptors as the queue has may be.</summary>
    public ulong IndirectTable { get; } = start + (16u * size) + (2 * 4096);

    public ref ushort AvailableFlags => ref ram.At<ushort>(Available);

    public ref ushort AvailableIndex => ref ram.At<ushort>(Available + 2);

    /// <summary>The used index at which the driver wants to be interrupted.</summary>
    public ref ushort UsedEvent => ref ram.At<ushort>(Available + 4 + (2u * size));

    public ref ushort UsedFlags => ref ram.At<ushort>(Used);

    public ref ushort UsedIndex => ref ram.At<ushort>(Used + 2);

    /// <summary>The available index at which the device wants to be notified.</summary>
    public ref ushort AvailableEvent => ref ram.At<ushort>(Used + 4 + (8u * size));

    public ref vring_desc Descriptor(int index) => ref ram.At<vring_desc>(Descriptors + (16u * (uint)index));

    public ref vring_desc IndirectDescriptor(int index) => ref ram.At<vring_desc>(IndirectTable + (16u * (uint)index));

    public vring_used_elem UsedElement(int index) => ram.At<vring_used_elem>(Used + 4 + (8u * (uint)(index % size)));

    /// <summary>The first so many, where no more than the queue has are used.</summary>
    public IEnumerable<vring_used_elem> UsedElements(int count) => Enumerable.Range(0, count).Select(UsedElement);

    public void MakeAvailable(ushort head)
    {
        ram.At<ushort>(Available + 4 + (2u * (uint)(AvailableIndex % size))) = head;
        AvailableIndex++;
    }

    /// <summary>A chain of the next descriptors, made available.</summary>
    /// <returns>Its head.</returns>
    public ushort Send(params ReadOnlySpan<Piece> pieces)
    {
        ushort head = (ushort)(_nextDescriptor % size);
        for (int i = 0; i < pieces.Length; i++)
        {
            ushort at = (ushort)(_nextDescriptor++ % size);
            Descriptor(at) = Make(pieces[i], i + 1 < pieces.Length, (ushort)(_nextDescriptor % size));
        }
        MakeAvailable(head);
        return head;
    }

    /// <summary>The same in the indirect table.</summary>
    public ushort SendIndirect(params ReadOnlySpan<Piece> pieces)
    {
        for (int i = 0; i < pieces.Length; i++)
            IndirectDescriptor(i) = Make(pieces[i], i + 1 < pieces.Length, (ushort)(i + 1));
        ushort head = (ushort)(_nextDescriptor++ % size);
        Descriptor(head) = new vring_desc
        {
            addr = IndirectTable,
            len = 16 * (uint)pieces.Length,
            flags = VRING_DESC_F_INDIRECT,
        };
        MakeAvailable(head);
        return head;
    }

    public static vring_desc Make(Piece piece, bool hasNext, ushort next) => new()
    {
        addr = piece.Address,
        len = piece.Length,
        flags = (ushort)((piece.IsWritable ? VRING_DESC_F_WRITE : 0) | (hasNext ? VRING_DESC_F_NEXT : 0)),
        next = hasNext ? next : (ushort)0,
    };
}
