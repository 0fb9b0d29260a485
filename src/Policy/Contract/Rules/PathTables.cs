namespace Sandbox.Policy.Contract;

/// <summary>
/// A policy's path rules as one automaton over the names of a path. A name becomes a symbol: its own when a rule
/// spells it out, else that of the set of wildcard names it matches. A state knows where each symbol leads.
/// </summary>
/// <remarks>
/// States share what they have in common: where a state has no edge of its own for a symbol, its base state's edge
/// holds (the rules that are still open because of a **). A rule that ends in ** is no part of the states behind it:
/// it is noted when its beginning has been seen, and holds from there on. Both keep the tables linear in the rules
/// where plain determinisation would multiply rules with rules.
/// </remarks>
public sealed record PathTables
{
    /// <summary>
    /// A row of decisions: for each access the lowest denying rule, then for each the allowing one; -1 for none.
    /// </summary>
    public const int DecisionWidth = 2 * AccessCount;

    public const int AccessCount = 5;

    /// <summary>No state: no rule can match any more.</summary>
    public const int Dead = -1;

    /// <summary>The first state, at the root.</summary>
    public required int Start { get; init; }

    /// <summary>
    /// By state: the state whose edges hold where it has none of its own; itself when it keeps its place; or <see
    /// cref="Dead"/>.
    /// </summary>
    public required int[] Bases { get; init; }

    /// <summary>By state: the row in <see cref="Decisions"/> of the rules on exactly the paths that end here.</summary>
    public required int[] Rows { get; init; }

    /// <summary>By state: the row of the rules that hold here and for everything below.</summary>
    public required int[] Tails { get; init; }

    /// <summary>By state: what is shown here and below, as a rule; -1 for nothing new.</summary>
    public required int[] Shown { get; init; }

    /// <summary>By state: what is shown here and holds nothing below; -1 for nothing.</summary>
    public required int[] ShownExactly { get; init; }

    /// <summary>By rule that shows something: its <see cref="PathAccess"/>.</summary>
    public required int[] ShownAccess { get; init; }

    /// <summary>Rows of <see cref="DecisionWidth"/>.</summary>
    public required int[] Decisions { get; init; }

    /// <summary>
    /// Edges by open addressing, three numbers each: state, symbol, next state; state -1 is a free place.
    /// </summary>
    public required int[] Edges { get; init; }

    /// <summary>UTF-8 of all names that rules spell out, one behind the other.</summary>
    public required byte[] NameBytes { get; init; }

    /// <summary>Names by open addressing, three numbers each: offset, length (0 is a free place), symbol.</summary>
    public required int[] Names { get; init; }

    /// <summary>By symbol: that of the wildcards which match it. The first symbols are such sets themselves.</summary>
    public required int[] Classes { get; init; }

    /// <summary>By byte: its column in <see cref="WildcardSteps"/>.</summary>
    public required byte[] Columns { get; init; }

    public required int ColumnCount { get; init; }

    /// <summary>Rows of <see cref="ColumnCount"/>: the wildcard automaton's next state. It starts in state 0.</summary>
    public required int[] WildcardSteps { get; init; }

    /// <summary>By state of the wildcard automaton: the symbol of a name that ends there.</summary>
    public required int[] WildcardSymbols { get; init; }

    /// <summary>Where the search for an edge begins; the table's length is a power of two places.</summary>
    public static int EdgePlace(int state, int symbol, int places) =>
        (int)(((uint)state * 0x9e3779b1 ^ (uint)symbol * 0x85ebca6b) * 0xc2b2ae35 >> 7) & (places - 1);

    /// <summary>A name's hash: eight bytes at a time, FNV-1a's way.</summary>
    public static uint Hash(ReadOnlySpan<byte> name)
    {
        const ulong prime = 0x100000001b3;
        ulong hash = 0xcbf29ce484222325;
        while (name.Length >= 8)
        {
            hash = (hash ^ System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(name)) * prime;
            hash ^= hash >> 29;
            name = name[8..];
        }

        foreach (byte b in name)
            hash = (hash ^ b) * prime;
        return (uint)(hash >> 32) ^ (uint)hash;
    }
}
