using System.Buffers.Binary;

namespace Sandbox.Fuzz.Engine;

/// <summary>Turns an input into a near relative: a stack of small random changes ("havoc"), or a cross of two.</summary>
public sealed class Mutator
{
    private const int MaximumStackedChanges = 16;
    private const int MaximumBlock = 512;
    private const int MaximumStep = 35;

    private static readonly ulong[] Interesting =
    [
        0, 1, 2, 7, 8, 15, 16, 31, 32, 63, 64, 100, 127, 128, 255, 256, 511, 512, 1023, 1024, 4095, 4096, 4097,
        0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x7fff_ffff_efff,
        0x7fff_ffff_f000, 0x8000_0000_0000, 0xffff_8000_0000_0000, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000,
        0xffff_ffff_ffff_f000, 0xffff_ffff_ffff_ffff,
    ];

    private readonly FuzzRandom _random;
    private readonly IReadOnlyList<byte[]> _dictionary;
    private readonly byte[] _buffer;
    private readonly int _recordLength;
    private int _length;

    /// <param name="recordLength">What is moved, added and taken away is mostly whole records of this length.</param>
    public Mutator(FuzzRandom random, IReadOnlyList<byte[]> dictionary, int maximumLength, int recordLength = 1)
    {
        _random = random;
        _recordLength = recordLength;
        _dictionary = dictionary;
        _buffer = new byte[maximumLength];
    }

    /// <summary>The result is valid until the next call.</summary>
    public ReadOnlySpan<byte> Mutate(ReadOnlySpan<byte> input, ReadOnlySpan<byte> other)
    {
        input[..Math.Min(input.Length, _buffer.Length)].CopyTo(_buffer);
        _length = Math.Min(input.Length, _buffer.Length);
        if (other.Length > 1 && _length > 1 && _random.OneIn(8))
            Splice(other);
        int changes = 1 + _random.Below(1 << _random.Below(5)) % MaximumStackedChanges;
        for (int i = 0; i < changes; i++)
            Change(other);
        return _buffer.AsSpan(0, _length);
    }

    private void Splice(ReadOnlySpan<byte> other)
    {
        int unit = Unit();
        _length = Aligned(_random.Below(_length + 1), unit);
        int from = Aligned(_random.Below(other.Length), unit);
        ReadOnlySpan<byte> tail = other[from..];
        tail = tail[..Math.Min(tail.Length, _buffer.Length - _length)];
        tail.CopyTo(_buffer.AsSpan(_length));
        _length += tail.Length;
    }

    private void Change(ReadOnlySpan<byte> other)
    {
        if (_length == 0)
        {
            Insert(RandomBlock(1 + _random.Below(16)));
            return;
        }
        switch (_random.Below(_dictionary.Count > 0 ? 14 : 12))
        {
            case 0 or 1:
                _buffer[_random.Below(_length)] ^= (byte)(1 << _random.Below(8));
                break;
            case 2:
                _buffer[_random.Below(_length)] = (byte)_random.NextUlong();
                break;
            case 3 or 4:
                Replace(Interesting[_random.Below(Interesting.Length)]);
                break;
            case 5 or 6:
                Step();
                break;
            case 7:
                Delete();
                break;
            case 8:
                Insert(Copy(_buffer.AsSpan(0, _length)));
                break;
            case 9:
                Overwrite(Copy(_buffer.AsSpan(0, _length)));
                break;
            case 10:
                Insert(RandomBlock(1 + _random.Below(32)));
                break;
            case 11:
                if (other.Length > 0)
                    Overwrite(Copy(other));
                else
                    Delete();
                break;
            case 12:
                Overwrite(_dictionary[_random.Below(_dictionary.Count)]);
                break;
            default:
                Insert(_dictionary[_random.Below(_dictionary.Count)]);
                break;
        }
    }

    private (int Offset, int Width) Field()
    {
        int width = 1 << _random.Below(4);
        while (width > _length)
            width >>= 1;
        int offset = _random.Below(_length - width + 1);
        // Fields of records are mostly aligned.
        if (!_random.OneIn(4))
            offset &= ~(width - 1);
        return (offset, width);
    }

    private void Replace(ulong value)
    {
        var (offset, width) = Field();
        Store(offset, width, value);
    }

    private void Step()
    {
        var (offset, width) = Field();
        ulong step = (ulong)(1 + _random.Below(MaximumStep));
        ulong value = Load(offset, width);
        Store(offset, width, _random.OneIn(2) ? value + step : value - step);
    }

    private ulong Load(int offset, int width) => width switch
    {
        1 => _buffer[offset],
        2 => BinaryPrimitives.ReadUInt16LittleEndian(_buffer.AsSpan(offset)),
        4 => BinaryPrimitives.ReadUInt32LittleEndian(_buffer.AsSpan(offset)),
        _ => BinaryPrimitives.ReadUInt64LittleEndian(_buffer.AsSpan(offset)),
    };

    private void Store(int offset, int width, ulong value)
    {
        for (int i = 0; i < width; i++)
            _buffer[offset + i] = (byte)(value >> (8 * i));
    }

    private void Delete()
    {
        (int offset, int length) = Block(_length);
        _buffer.AsSpan(offset + length, _length - offset - length).CopyTo(_buffer.AsSpan(offset));
        _length -= length;
    }

    private void Insert(ReadOnlySpan<byte> block)
    {
        block = block[..Math.Min(block.Length, _buffer.Length - _length)];
        int offset = Aligned(_random.Below(_length + 1), Unit());
        _buffer.AsSpan(offset, _length - offset).CopyTo(_buffer.AsSpan(offset + block.Length));
        block.CopyTo(_buffer.AsSpan(offset));
        _length += block.Length;
    }

    private void Overwrite(ReadOnlySpan<byte> block)
    {
        int offset = Aligned(_random.Below(_length), Unit());
        block = block[..Math.Min(block.Length, _length - offset)];
        block.CopyTo(_buffer.AsSpan(offset));
    }

    private byte[] Copy(ReadOnlySpan<byte> from)
    {
        (int offset, int length) = Block(from.Length);
        return from.Slice(offset, length).ToArray();
    }

    /// <summary>Mostly the record length, sometimes a byte.</summary>
    private int Unit() => _recordLength > 1 && !_random.OneIn(8) ? _recordLength : 1;

    private static int Aligned(int offset, int unit) => offset - (offset % unit);

    /// <summary>A random piece of something that is not empty.</summary>
    private (int Offset, int Length) Block(int total)
    {
        int unit = Unit();
        int length = 1 + _random.Below(Math.Min(total, MaximumBlock));
        length = Math.Min(total, Aligned(length + unit - 1, unit));
        return (Aligned(_random.Below(total - length + 1), unit), length);
    }

    private byte[] RandomBlock(int length)
    {
        byte[] block = new byte[length];
        // One byte repeated is as likely to be interesting as noise.
        if (_random.OneIn(2))
            block.AsSpan().Fill((byte)_random.NextUlong());
        else
            for (int i = 0; i < length; i++)
                block[i] = (byte)_random.NextUlong();
        return block;
    }
}
