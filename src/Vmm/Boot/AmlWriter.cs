using System.Buffers.Binary;
using System.Text;

namespace Sandbox.Vmm.Boot;

/// <summary>
/// Writes the little of ACPI's machine language that describes devices: ACPI 6.5, 20.2 (the language) and 6.4
/// (resources).
/// </summary>
sealed class AmlWriter
{
    private const byte NameOp = 0x08, ByteConst = 0x0a, DWordConst = 0x0c, StringPrefix = 0x0d, ScopeOp = 0x10,
        BufferOp = 0x11;
    private const byte PackageOp = 0x12, ExtendedPrefix = 0x5b, DeviceOp = 0x82;

    private readonly List<byte> _bytes = [];

    public byte[] ToArray() => [.. _bytes];

    /// <param name="name">Four characters, with a backslash in front for the root.</param>
    public AmlWriter Scope(string name, Action<AmlWriter> content) => Block([ScopeOp], name, content);

    public AmlWriter Device(string name, Action<AmlWriter> content) => Block([ExtendedPrefix, DeviceOp], name, content);

    public AmlWriter Name(string name, uint value)
    {
        _bytes.Add(NameOp);
        AddName(name);
        AddNumber(value);
        return this;
    }

    public AmlWriter Name(string name, string value)
    {
        _bytes.Add(NameOp);
        AddName(name);
        _bytes.Add(StringPrefix);
        _bytes.AddRange(Encoding.ASCII.GetBytes(value));
        _bytes.Add(0);
        return this;
    }

    /// <param name="name">Of a package.</param>
    public AmlWriter Name(string name, ReadOnlySpan<uint> values)
    {
        AmlWriter elements = new();
        elements._bytes.Add((byte)values.Length);
        foreach (uint value in values)
            elements.AddNumber(value);
        _bytes.Add(NameOp);
        AddName(name);
        _bytes.Add(PackageOp);
        AddSized(elements._bytes);
        return this;
    }

    /// <summary>
    /// _CRS: what of memory, ports and interrupts a device has. An end tag follows what <paramref name="content"/>
    /// adds.
    /// </summary>
    public AmlWriter Resources(Action<AmlWriter> content)
    {
        AmlWriter list = new();
        content(list);
        list._bytes.AddRange([0x79, 0]);
        AmlWriter buffer = new();
        buffer.AddNumber((uint)list._bytes.Count);
        buffer._bytes.AddRange(list._bytes);
        _bytes.Add(NameOp);
        AddName("_CRS");
        _bytes.Add(BufferOp);
        AddSized(buffer._bytes);
        return this;
    }

    /// <summary>A 32-bit fixed memory range, writable.</summary>
    public AmlWriter MemoryRange(uint start, uint length)
    {
        _bytes.AddRange([0x86, 9, 0, 1]);
        AddInteger(start);
        AddInteger(length);
        return this;
    }

    public AmlWriter PortRange(ushort start, byte length)
    {
        byte low = (byte)start, high = (byte)(start >> 8);
        _bytes.AddRange([0x47, 1, low, high, low, high, 1, length]);
        return this;
    }

    /// <summary>An interrupt of the device's own: edge-triggered, active high.</summary>
    public AmlWriter Interrupt(uint number)
    {
        _bytes.AddRange([0x89, 6, 0, 3, 1]);
        AddInteger(number);
        return this;
    }

    private AmlWriter Block(ReadOnlySpan<byte> operation, string name, Action<AmlWriter> content)
    {
        AmlWriter inner = new();
        inner.AddName(name);
        content(inner);
        _bytes.AddRange(operation);
        AddSized(inner._bytes);
        return this;
    }

    private void AddName(string name) => _bytes.AddRange(Encoding.ASCII.GetBytes(name));

    private void AddNumber(uint value)
    {
        switch (value)
        {
            case 0 or 1:
                _bytes.Add((byte)value);
                break;
            case <= byte.MaxValue:
                _bytes.AddRange([ByteConst, (byte)value]);
                break;
            default:
                _bytes.Add(DWordConst);
                AddInteger(value);
                break;
        }
    }

    private void AddInteger(uint value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        _bytes.AddRange(bytes);
    }

    /// <summary>A package length, which counts itself, and what it is the length of.</summary>
    private void AddSized(List<byte> content)
    {
        int length = content.Count;
        if (length + 1 < 0x40)
            _bytes.Add((byte)(length + 1));
        else if (length + 2 < 0x1000)
            _bytes.AddRange([(byte)(0x40 | ((length + 2) & 0xf)), (byte)((length + 2) >> 4)]);
        else
            _bytes.AddRange(
                [(byte)(0x80 | ((length + 3) & 0xf)), (byte)((length + 3) >> 4), (byte)((length + 3) >> 12)]);
        _bytes.AddRange(content);
    }
}
