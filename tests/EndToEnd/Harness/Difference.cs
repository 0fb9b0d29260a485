using System.Text;

namespace Sandbox.EndToEnd.Harness;

/// <summary>Readable differences between two outputs.</summary>
static class Difference
{
    /// <summary>Lines shown of one difference, and the most that are compared line by line.</summary>
    const int MaximumShown = 40, MaximumCompared = 2000;

    /// <summary>Null when equal; else the lines that only one side has, in order.</summary>
    public static string? Between(byte[] native, byte[] guest)
    {
        if (native.AsSpan().SequenceEqual(guest))
            return null;
        string[] expected = Lines(native), actual = Lines(guest);
        var text = new StringBuilder($"outputs differ ({expected.Length} lines natively, {actual.Length} in the guest)\n");
        int shown = 0;
        foreach (string line in Changes(expected, actual))
        {
            if (++shown > MaximumShown)
                return text.Append("  ...\n").ToString();
            text.Append($"  {Shorten(line)}\n");
        }

        return text.ToString();
    }

    public static string Shorten(string text) =>
        text.Length <= 2000 ? text : $"{text[..1000]}\n[... {text.Length - 2000} characters ...]\n{text[^1000..]}";

    /// <summary>The longest common subsequence leaves out what changed.</summary>
    static IEnumerable<string> Changes(string[] expected, string[] actual)
    {
        int start = 0;
        while (start < expected.Length && start < actual.Length && expected[start] == actual[start])
            start++;
        string[] a = expected[start..Math.Min(expected.Length, start + MaximumCompared)];
        string[] b = actual[start..Math.Min(actual.Length, start + MaximumCompared)];
        int[,] common = new int[a.Length + 1, b.Length + 1];
        for (int x = a.Length - 1; x >= 0; x--)
            for (int y = b.Length - 1; y >= 0; y--)
                common[x, y] = a[x] == b[y] ? common[x + 1, y + 1] + 1 : Math.Max(common[x + 1, y], common[x, y + 1]);
        int i = 0, k = 0;
        while (i < a.Length || k < b.Length)
        {
            if (i < a.Length && k < b.Length && a[i] == b[k])
            {
                i++;
                k++;
            }
            else if (i < a.Length && (k == b.Length || common[i + 1, k] >= common[i, k + 1]))
            {
                yield return $"line {start + i + 1} - {a[i++]}";
            }
            else
            {
                yield return $"line {start + k + 1} + {b[k++]}";
            }
        }
    }

    static string[] Lines(byte[] bytes) => Encoding.Latin1.GetString(bytes).Split('\n');
}
