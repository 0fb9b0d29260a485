namespace Sandbox.Fuzz.Targets;

/// <summary>
/// Takes an input apart from its front. Zero behind the end, so that an input that is cut still means something.
/// </summary>
ref struct InputReader(ReadOnlySpan<byte> input)
{
    private ReadOnlySpan<byte> _rest = input;

    public readonly bool IsAtEnd => _rest.IsEmpty;

    public byte Byte()
    {
        if (_rest.IsEmpty)
            return 0;
        byte value = _rest[0];
        _rest = _rest[1..];
        return value;
    }

    public ushort Word() => (ushort)(Byte() | Byte() << 8);

    /// <summary>The next bytes, fewer at the end.</summary>
    public ReadOnlySpan<byte> Bytes(int count)
    {
        ReadOnlySpan<byte> taken = _rest[..Math.Min(count, _rest.Length)];
        _rest = _rest[taken.Length..];
        return taken;
    }
}
