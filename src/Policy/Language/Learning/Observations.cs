using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>How often something was seen, and in how many runs.</summary>
public readonly record struct Sightings(long Times, int Runs)
{
    public static Sightings operator +(Sightings a, Sightings b) => new(a.Times + b.Times, a.Runs + b.Runs);

    public override string ToString() => $"{Times} time{(Times == 1 ? "" : "s")} in {Runs} run{(Runs == 1 ? "" : "s")}";
}

/// <summary>One access to one path; <see cref="PathAccess.None"/> for looking at it.</summary>
public readonly record struct PathRequest(PathAccess Access, string Path);

/// <summary>What programs asked for, over several runs.</summary>
public sealed class Observations
{
    /// <summary>Different requests that are kept; a program that asks for more is not to be learned.</summary>
    public const int MaximumRequests = 100_000;

    public int Runs { get; private set; }

    public SortedDictionary<PathRequest, Sightings> Paths { get; } = new(Comparer<PathRequest>.Create(Compare));

    /// <summary>Files that were given another name: the old path and the new one.</summary>
    public SortedDictionary<(string Old, string New), Sightings> Moves { get; } = [];

    /// <summary>By number.</summary>
    public SortedDictionary<int, Sightings> Calls { get; } = [];

    /// <summary>Of the network, as <see cref="Request"/> writes it. What the base policy denied was refused.</summary>
    public SortedDictionary<(bool Allowed, string Request), Sightings> Network { get; } = [];

    /// <summary>Requests that no policy can name: paths that are too long, or no UTF-8 text.</summary>
    public Sightings Unnameable { get; private set; }

    /// <summary>Adds what was seen in other runs.</summary>
    /// <returns>False when it is too much.</returns>
    public bool TryAdd(Observations other)
    {
        Runs += other.Runs;
        Unnameable += other.Unnameable;
        Add(Paths, other.Paths);
        Add(Moves, other.Moves);
        Add(Calls, other.Calls);
        Add(Network, other.Network);
        return Paths.Count + Moves.Count + Calls.Count + Network.Count <= MaximumRequests;
    }

    /// <summary>What one run asked for.</summary>
    /// <param name="unnameable">How many requests no policy can name.</param>
    public static Observations OfRun(
        IReadOnlyDictionary<PathRequest, long> paths, IReadOnlyDictionary<(string Old, string New), long> moves,
        IReadOnlyDictionary<int, long> calls, long unnameable,
        IReadOnlyDictionary<(bool Allowed, string Request), long>? network = null)
    {
        var seen = new Observations { Runs = 1, Unnameable = unnameable == 0 ? default : new Sightings(unnameable, 1) };
        foreach ((PathRequest request, long times) in paths)
            seen.Paths[request] = new Sightings(times, 1);
        foreach (((string, string) move, long times) in moves)
            seen.Moves[move] = new Sightings(times, 1);
        foreach ((int call, long times) in calls)
            seen.Calls[call] = new Sightings(times, 1);
        foreach (((bool, string) request, long times) in network ?? new Dictionary<(bool, string), long>())
            seen.Network[request] = new Sightings(times, 1);
        return seen;
    }

    internal static Observations Begin(int runs, Sightings unnameable) =>
        new() { Runs = runs, Unnameable = unnameable };

    static void Add<TKey>(SortedDictionary<TKey, Sightings> to, SortedDictionary<TKey, Sightings> from)
        where TKey : notnull
    {
        foreach ((TKey key, Sightings seen) in from)
            to[key] = to.GetValueOrDefault(key) + seen;
    }

    static int Compare(PathRequest a, PathRequest b) =>
        a.Access != b.Access ? a.Access.CompareTo(b.Access) : string.CompareOrdinal(a.Path, b.Path);
}
