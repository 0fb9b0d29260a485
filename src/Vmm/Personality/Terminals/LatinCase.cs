namespace Sandbox.Vmm.Personality.Terminals;

/// <summary>
/// Letters as the kernel's line discipline knows them: ISO 8859-1 (lib/ctype.c), whatever the locale.
/// </summary>
static class LatinCase
{
    private const byte Times = 0xd7, Division = 0xf7;

    public static bool IsUpper(byte value) =>
        value is >= (byte)'A' and <= (byte)'Z' or (>= 0xc0 and <= 0xde and not Times);

    public static bool IsLower(byte value) => value is >= (byte)'a' and <= (byte)'z' or (>= 0xdf and not Division);

    public static bool IsAlphanumeric(byte value) => value is >= (byte)'0' and <= (byte)'9' || IsUpper(value)
        || IsLower(value);

    public static byte ToLower(byte value) => IsUpper(value) ? (byte)(value + 0x20) : value;

    public static byte ToUpper(byte value) => IsLower(value) ? (byte)(value - 0x20) : value;
}
