using System.Buffers.Binary;
using System.Text;
using Sandbox.Host;

namespace Sandbox.Supervisor.Machine;

/// <summary>
/// What a kernel says it is: a bzImage in its header (Documentation/arch/x86/boot.rst, kernel_version), an ELF kernel
/// in the line that it prints first.
/// </summary>
static class KernelVersion
{
    private const int Magic = 0x202, Pointer = 0x20e, Base = 0x200, MaximumLength = 256;

    /// <summary>
    /// Bytes of an ELF kernel that are searched: its code and data come before what is for debuggers.
    /// </summary>
    private const long MaximumSearch = 256L << 20;

    private const int PieceBytes = 64 << 10;

    private static ReadOnlySpan<byte> Banner => "Linux version "u8;

    /// <returns>Such as 6.1.0-56-amd64, which can be a folder's name; null for a file that does not say.</returns>
    public static string? Of(FileDescriptor kernel)
    {
        byte[] head = new byte[Base + 0x20];
        if (kernel.ReadAt(head, 0) != head.Length)
            return null;
        if (head.AsSpan(0, 4).SequenceEqual("\u007fELF"u8))
            return Search(kernel);
        if (!head.AsSpan(Magic, 4).SequenceEqual("HdrS"u8))
            return null;
        byte[] text = new byte[MaximumLength];
        nint count = kernel.ReadAt(text, Base + BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(Pointer)));
        return Name(text.AsSpan(0, (int)Math.Max(count, 0)));
    }

    private static string? Search(FileDescriptor kernel)
    {
        byte[] piece = new byte[PieceBytes];
        // Pieces overlap, so that each place is whole in one of them.
        int step = PieceBytes - Banner.Length - MaximumLength;
        for (long at = 0; at < MaximumSearch && kernel.ReadAt(piece, at) is > 0 and nint count; at += step)
        {
            ReadOnlySpan<byte> rest = piece.AsSpan(0, (int)count);
            for (int found; (found = rest.IndexOf(Banner)) >= 0;)
            {
                rest = rest[(found + Banner.Length)..];
                if (Name(rest[..Math.Min(rest.Length, MaximumLength)]) is string name)
                    return name;
            }
        }

        return null;
    }

    /// <summary>The first word, if it can be a folder's name.</summary>
    private static string? Name(ReadOnlySpan<byte> text)
    {
        int end = text.IndexOfAny((byte)' ', (byte)0);
        return end <= 0
            || !char.IsAsciiDigit((char)text[0])
            || text[..end].ContainsAnyExceptInRange((byte)'!', (byte)'~')
            || text[..end].Contains((byte)'/')
            ? null
            : Encoding.ASCII.GetString(text[..end]);
    }
}
