using System.Globalization;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>Numbers as names in /proc and /dev/pts.</summary>
static class ProcNames
{
    /// <summary>A decimal number as the kernel writes it: no sign, no leading zero.</summary>
    public static bool TryParseNumber(ReadOnlySpan<byte> name, out int number)
    {
        number = 0;
        if (name.IsEmpty || name.Length > 10 || (name.Length > 1 && name[0] == '0') 
            || name.ContainsAnyExceptInRange((byte)'0', (byte)'9'))
            return false;
        return int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }

    public static byte[] Number(int number)
    {
        Span<byte> text = stackalloc byte[11];
        System.Buffers.Text.Utf8Formatter.TryFormat(number, text, out int written);
        return text[..written].ToArray();
    }
}
