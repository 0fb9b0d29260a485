using System.Text;

namespace Sandbox.EndToEnd.Harness;

/// <summary>Readable differences between two outputs.</summary>
static class Difference
{
    const int Context = 3;
    const int Shown = 8;

    /// <summary>Null when equal; else the surroundings of the first difference.</summary>
    public static string? Between(byte[] native, byte[] guest)
    {
        if (native.AsSpan().SequenceEqual(guest))
            return null;
        string[] expected = Lines(native), actual = Lines(guest);
        int same = 0;
        while (same < expected.Length && same < actual.Length && expected[same] == actual[same])
            same++;
        var text = new StringBuilder($"outputs differ from line {same + 1} on ({expected.Length} lines natively, {actual.Length} in the guest)\n");
        for (int i = Math.Max(0, same - Context); i < same; i++)
            text.Append($"    {Shorten(expected[i])}\n");
        for (int i = same; i < Math.Min(expected.Length, same + Shown); i++)
            text.Append($"  - {Shorten(expected[i])}\n");
        for (int i = same; i < Math.Min(actual.Length, same + Shown); i++)
            text.Append($"  + {Shorten(actual[i])}\n");
        return text.ToString();
    }

    public static string Shorten(string text) =>
        text.Length <= 2000 ? text : $"{text[..1000]}\n[... {text.Length - 2000} characters ...]\n{text[^1000..]}";

    static string[] Lines(byte[] bytes) => Encoding.Latin1.GetString(bytes).Split('\n');
}
