namespace Sandbox.Supervisor.Jail.Facts;

/// <summary>What was found of one thing, and what to make of it.</summary>
readonly record struct Finding(
    string Found, FactVerdict Verdict, FactSource Source = FactSource.Read, string? Advice = null, int Errno = 0)
{
    /// <summary>Names in a list before it is cut off.</summary>
    const int Most = 5;

    public static Finding Holds(string found) => new(found, FactVerdict.Holds);

    public static Finding Missing(string found) => new(found, FactVerdict.Missing);

    public static Finding Weaker(string found) => new(found, FactVerdict.Weaker);

    public static Finding HoldsIf(bool condition, string found) => condition ? Holds(found) : Missing(found);

    public static Finding CannotBeRead(int errno) => new("", FactVerdict.CannotBeRead, Errno: errno);

    /// <summary>The first few of many.</summary>
    public static string Some(IReadOnlyCollection<string> all) =>
        string.Join(", ", all.Take(Most)) + (all.Count > Most ? $", and {all.Count - Most} more" : "");
}
