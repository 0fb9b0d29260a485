using System.Buffers;
using System.Buffers.Text;
using System.Text;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>Builds the text of a /proc or /sys file: bytes, because names in it are bytes.</summary>
sealed class TextBuilder
{
    private byte[] _buffer = new byte[1024];
    private int _length;

    public TextBuilder Add(ReadOnlySpan<byte> text)
    {
        text.CopyTo(Reserve(text.Length));
        _length += text.Length;
        return this;
    }

    public TextBuilder Add(string text)
    {
        Span<byte> room = Reserve(Encoding.UTF8.GetMaxByteCount(text.Length));
        _length += Encoding.UTF8.GetBytes(text, room);
        return this;
    }

    public TextBuilder Add(char character)
    {
        Reserve(1)[0] = (byte)character;
        _length++;
        return this;
    }

    public TextBuilder Add(long value) => Add(value, default);

    public TextBuilder Add(ulong value, StandardFormat format = default)
    {
        Utf8Formatter.TryFormat(value, Reserve(32), out int written, format);
        _length += written;
        return this;
    }

    public TextBuilder Add(long value, StandardFormat format)
    {
        Utf8Formatter.TryFormat(value, Reserve(32), out int written, format);
        _length += written;
        return this;
    }

    /// <summary>Lower-case hexadecimal with at least this many digits.</summary>
    public TextBuilder AddHex(ulong value, int digits = 1) => Add(value, new StandardFormat('x', (byte)digits));

    public TextBuilder AddOctal(uint value) => Add(Convert.ToString(value, 8));

    /// <summary>A number at the right end of a field.</summary>
    public TextBuilder AddRight(long value, int width)
    {
        Span<byte> digits = stackalloc byte[32];
        Utf8Formatter.TryFormat(value, digits, out int written);
        for (int i = written; i < width; i++)
            Add(' ');
        return Add(digits[..written]);
    }

    /// <summary>Spaces up to a column of the current line.</summary>
    public TextBuilder PadTo(int column)
    {
        int start = _buffer.AsSpan(0, _length).LastIndexOf((byte)'\n') + 1;
        while (_length - start < column)
            Add(' ');
        return this;
    }

    /// <summary>Text with these bytes and the backslash as three octal digits, as the kernel's mangle_path does.</summary>
    public TextBuilder AddMangled(ReadOnlySpan<byte> text, ReadOnlySpan<byte> escaped)
    {
        foreach (byte b in text)
        {
            if (b != '\\' && !escaped.Contains(b))
            {
                Add((char)b);
                continue;
            }
            Add('\\').Add((char)('0' + (b >> 6))).Add((char)('0' + ((b >> 3) & 7))).Add((char)('0' + (b & 7)));
        }
        return this;
    }

    public byte[] ToArray() => _buffer.AsSpan(0, _length).ToArray();

    private Span<byte> Reserve(int count)
    {
        if (_buffer.Length - _length < count)
            Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, _length + count));
        return _buffer.AsSpan(_length);
    }
}
