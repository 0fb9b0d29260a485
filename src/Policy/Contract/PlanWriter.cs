using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Unicode;

namespace Sandbox.Policy.Contract;

/// <summary>
/// Writes the values that a plan consists of, one behind the other: numbers little-endian and in full width, everything
/// with a length behind that length as an Int32. <see cref="PlanReader"/> has the same methods.
/// </summary>
ref struct PlanWriter
{
    /// <summary>A plan without rules and large texts fits.</summary>
    const int FirstCapacity = 4096;

    byte[] _buffer = new byte[FirstCapacity];
    int _length;

    public PlanWriter()
    {
    }

    /// <summary>All that was written.</summary>
    public readonly byte[] ToArray() => _buffer[.._length];

    /// <summary>Bytes that are always the same; no length.</summary>
    public void Literal(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Next(bytes.Length));

    public void Flag(bool value) => Choice(value ? 1 : 0);

    /// <param name="value">0 to 255: an enum without gaps.</param>
    public void Choice(int value) => Next(1)[0] = checked((byte)value);

    public void UInt16(ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Next(sizeof(ushort)), value);

    public void Int32(int value) => BinaryPrimitives.WriteInt32LittleEndian(Next(sizeof(int)), value);

    public void UInt32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Next(sizeof(uint)), value);

    public void Int64(long value) => BinaryPrimitives.WriteInt64LittleEndian(Next(sizeof(long)), value);

    public void UInt64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Next(sizeof(ulong)), value);

    /// <summary>UTF-8.</summary>
    /// <exception cref="PlanException">The text holds half a surrogate pair, which UTF-8 has no form for.</exception>
    public void Text(string value)
    {
        const int mostBytesPerChar = 3;
        Span<byte> utf8 = Room(checked(sizeof(int) + mostBytesPerChar * value.Length))[sizeof(int)..];
        if (Utf8.FromUtf16(value, utf8, out _, out int length, replaceInvalidSequences: false) != OperationStatus.Done)
            throw new PlanException("half a surrogate pair in a text");
        Int32(length);
        _length += length;
    }

    public void TextOrNull(string? value)
    {
        Flag(value is not null);
        if (value is not null)
            Text(value);
    }

    public void Texts(string[] values)
    {
        Int32(values.Length);
        foreach (string value in values)
            Text(value);
    }

    public void Bytes(byte[] values)
    {
        Int32(values.Length);
        Literal(values);
    }

    public void Int32s(int[] values)
    {
        Debug.Assert(BitConverter.IsLittleEndian);
        Int32(values.Length);
        Literal(MemoryMarshal.AsBytes(values.AsSpan()));
    }

    public void UInt64s(ulong[] values)
    {
        Debug.Assert(BitConverter.IsLittleEndian);
        Int32(values.Length);
        Literal(MemoryMarshal.AsBytes(values.AsSpan()));
    }

    Span<byte> Next(int bytes)
    {
        Span<byte> next = Room(bytes)[..bytes];
        _length += bytes;
        return next;
    }

    /// <summary>At least so many bytes behind those written.</summary>
    Span<byte> Room(int bytes)
    {
        int needed = checked(_length + bytes);
        if (needed > _buffer.Length)
            Array.Resize(ref _buffer, Math.Max(needed, 2 * _buffer.Length));
        return _buffer.AsSpan(_length);
    }
}
