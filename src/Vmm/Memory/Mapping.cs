namespace Sandbox.Vmm.Memory;

/// <summary>One mapped range of an address space (what Linux calls a VMA). Immutable but for its end and protection.</summary>
internal sealed class Mapping
{
    public required ulong Start { get; set; }

    public required ulong End { get; set; }

    public required Protection Protection { get; set; }

    public required bool Shared { get; init; }

    /// <summary>A shared mapping of a file that was not opened for writing never becomes writable.</summary>
    public bool MayWrite { get; init; } = true;

    /// <summary>The stack: grows down on a fault just below it.</summary>
    public bool GrowsDown { get; init; }

    /// <summary>Null for private anonymous memory.</summary>
    public IMappable? Backing { get; init; }

    /// <summary>Byte offset of <see cref="Start"/> in the backing.</summary>
    public ulong Offset { get; set; }

    /// <summary>"[stack]", "[heap]", "[vdso]" or empty.</summary>
    public string Label { get; init; } = "";

    /// <summary>MADV_DONTFORK, and for MADV_WIPEONFORK.</summary>
    public bool DontFork { get; set; }

    public bool WipeOnFork { get; set; }

    /// <summary>Where the last demand fault ended: the next one there is sequential and brings in more.</summary>
    public ulong SequentialEnd { get; set; }

    /// <summary>How many pages a sequential fault brings in; doubles up to a large page.</summary>
    public int FaultPages { get; set; } = InitialFaultPages;

    public const int InitialFaultPages = 16;

    public ulong Length => End - Start;

    public bool Contains(ulong address) => address >= Start && address < End;

    /// <summary>A mapping with everything alike but its range.</summary>
    public Mapping Slice(ulong start, ulong end) => new()
    {
        Start = start,
        End = end,
        Protection = Protection,
        Shared = Shared,
        MayWrite = MayWrite,
        GrowsDown = GrowsDown,
        Backing = Backing,
        Offset = Offset + (start - Start),
        Label = Label,
        DontFork = DontFork,
        WipeOnFork = WipeOnFork,
    };

    /// <summary>Whether the next mapping continues this one in every respect.</summary>
    public bool CanMergeWith(Mapping next) =>
        End == next.Start && Protection == next.Protection && Shared == next.Shared && Backing == next.Backing
        && MayWrite == next.MayWrite && GrowsDown == next.GrowsDown && Label == next.Label && DontFork == next.DontFork
        && WipeOnFork == next.WipeOnFork && (Backing is null || Offset + Length == next.Offset);
}
