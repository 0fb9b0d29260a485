namespace Sandbox.Policy.Language;

/// <summary>"Did you mean": the known name nearest to a mistyped one.</summary>
public static class Closest
{
    const int MaximumLength = 64;

    /// <summary>The nearest of the known names, if it is near enough to be what was meant.</summary>
    public static string? Name(string word, IEnumerable<string> known)
    {
        if (word.Length > MaximumLength)
            return null;
        (string? Name, int Distance) best = (null, int.MaxValue);
        foreach (string name in known)
        {
            if (name.Length > MaximumLength)
                continue;
            int distance = Distance(word, name);
            if (distance < best.Distance)
                best = (name, distance);
        }

        // One slip for each four letters, so that -x is not taken for -t.
        return best.Distance <= Math.Max(word.Length, best.Name?.Length ?? 0) / 4 + (word.Length > 2 ? 1 : 0)
            ? best.Name
            : null;
    }

    /// <summary>"did you mean X?", or null.</summary>
    public static string? Advice(string word, IEnumerable<string> known) =>
        Name(word, known) is string name ? $"did you mean {name}?" : null;

    /// <summary>Optimal string alignment: insertions, deletions, replacements and swaps of neighbours.</summary>
    static int Distance(string a, string b)
    {
        int width = b.Length + 1;
        Span<int> cost = stackalloc int[(a.Length + 1) * width];
        for (int i = 0; i <= a.Length; i++)
            cost[i * width] = i;
        for (int j = 0; j <= b.Length; j++)
            cost[j] = j;
        for (int i = 1; i <= a.Length; i++)
        {
            for (int j = 1; j <= b.Length; j++)
            {
                int at = i * width + j;
                int replace = cost[at - width - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                cost[at] = Math.Min(replace, Math.Min(cost[at - width], cost[at - 1]) + 1);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    cost[at] = Math.Min(cost[at], cost[at - 2 * width - 2] + 1);
            }
        }

        return cost[^1];
    }
}
