using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;

namespace Sandbox.Policy.Contract;

/// <summary>
/// Reads what <see cref="PlanWriter"/> wrote, method by method. Every value has exactly one form, so that two plans
/// differ when their bytes do, and a length never makes room for more than the bytes that are there.
/// </summary>
/// <remarks>Each method throws <see cref="PlanException"/> where its value is not, and nothing else.</remarks>
ref struct PlanReader(ReadOnlySpan<byte> bytes)
{
    ReadOnlySpan<byte> _rest = bytes;

    public readonly void End()
    {
        if (!_rest.IsEmpty)
            throw new PlanException("there is something behind its end");
    }

    public void Literal(ReadOnlySpan<byte> expected)
    {
        if (!Next(expected.Length).SequenceEqual(expected))
            throw new PlanException("it is something else");
    }

    public bool Flag() => Choice(1) != 0;

    /// <param name="last">The highest that there is.</param>
    public int Choice(int last)
    {
        int value = Next(1)[0];
        return value <= last ? value : throw new PlanException("a choice that there is not");
    }

    public ushort UInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Next(sizeof(ushort)));

    public int Int32() => BinaryPrimitives.ReadInt32LittleEndian(Next(sizeof(int)));

    public uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Next(sizeof(uint)));

    public long Int64() => BinaryPrimitives.ReadInt64LittleEndian(Next(sizeof(long)));

    public ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Next(sizeof(ulong)));

    /// <summary>How many elements follow.</summary>
    /// <param name="leastBytes">What one element takes at least; the rest must have room for all.</param>
    public int Count(int leastBytes)
    {
        int count = Int32();
        if (count < 0 || count > _rest.Length / leastBytes)
            throw new PlanException("a length beyond its end");
        return count;
    }

    public string Text()
    {
        ReadOnlySpan<byte> utf8 = Next(Count(sizeof(byte)));
        return Utf8.IsValid(utf8) ? Encoding.UTF8.GetString(utf8) : throw new PlanException("a text that is not UTF-8");
    }

    public string? TextOrNull() => Flag() ? Text() : null;

    public string[] Texts()
    {
        var values = new string[Count(leastBytes: sizeof(int))];
        for (int i = 0; i < values.Length; i++)
            values[i] = Text();
        return values;
    }

    public byte[] Bytes() => Next(Count(sizeof(byte))).ToArray();

    public int[] Int32s()
    {
        Debug.Assert(BitConverter.IsLittleEndian);
        var values = new int[Count(sizeof(int))];
        Next(values.Length * sizeof(int)).CopyTo(MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }

    public ulong[] UInt64s()
    {
        Debug.Assert(BitConverter.IsLittleEndian);
        var values = new ulong[Count(sizeof(ulong))];
        Next(values.Length * sizeof(ulong)).CopyTo(MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }

    ReadOnlySpan<byte> Next(int length)
    {
        if (length > _rest.Length)
            throw new PlanException("it ends early");
        ReadOnlySpan<byte> next = _rest[..length];
        _rest = _rest[length..];
        return next;
    }
}
