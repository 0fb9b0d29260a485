using Sandbox.Vmm.Memory;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// One operation of the memory target, from eight bytes: what, on whom, first page (2), pages (1), second page or
/// place in an object (2), and details.
/// </summary>
readonly struct MemoryOperation
{
    public const int Length = 8;

    /// <summary>Counts of pages below this are meant as they are, those above in sixteens.</summary>
    private const int LargeCounts = 64;

    private const int PagesPerLargeCount = 16;

    public enum Op : byte
    {
        Map, Unmap, Protect, Remap, Advise, Write, Read, Run, Walk, Fork, End, Break, Futex,
        WriteObject, ReadObject, ResizeObject, PunchObject,
    }

    public const int OpCount = 17;

    public Op Kind { get; init; }

    /// <summary>Of those that there are.</summary>
    public int Space { get; init; }

    public int Processor { get; init; }

    public int Object { get; init; }

    public int First { get; init; }

    public int Count { get; init; }

    /// <summary>As read: a page, or a cell of an object.</summary>
    public int Second { get; init; }

    public byte Detail { get; init; }

    public VirtualAddress Start => new((ulong)First * Page.Size);

    public ulong Bytes => (ulong)Count * Page.Size;

    public int SecondPage => Second % ModelSpace.PageCount;

    public Protection Protection => (Protection)(Detail & 7);

    public bool IsShared => (Detail & 0x20) != 0;

    public bool Populates => (Detail & 0x40) != 0;

    public bool GrowsDown => (Detail & 0x80) != 0;

    /// <summary>0 a hint, 1 MAP_FIXED, 2 MAP_FIXED_NOREPLACE, 3 no address.</summary>
    public int Placing => (Detail >> 3) & 3;

    public int FirstCell => Second % (MemoryObjects.Pages * ModelObject.CellsPerPage);

    public int Cells => Math.Min(Count, (MemoryObjects.Pages * ModelObject.CellsPerPage) - FirstCell);

    public static MemoryOperation Decode(ref InputReader input)
    {
        Op kind = (Op)(input.Byte() % OpCount);
        int who = input.Byte();
        int first = input.Word() % ModelSpace.PageCount;
        int count = input.Byte();
        count = count < LargeCounts ? count : (count - LargeCounts + 4) * PagesPerLargeCount;
        return new MemoryOperation
        {
            Kind = kind,
            Space = who & 3,
            Processor = (who >> 2) & 1,
            Object = (who >> 3) % (MemoryObjects.Count + 1),
            First = first,
            Count = Math.Min(count, ModelSpace.PageCount - first),
            Second = input.Word(),
            Detail = input.Byte(),
        };
    }
}
