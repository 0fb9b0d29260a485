using Microsoft.Win32.SafeHandles;
using Sandbox.Host;
using Sandbox.Policy.Language;
using SharpCompress.Compressors.Xz;
using SharpCompress.Compressors.ZStandard;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Machine;

/// <summary>The file of a module: as the kernel's build left it, or compressed with xz or zstd.</summary>
static class ModuleFile
{
    /// <summary>Bytes, unpacked as well. The largest that guests need has a few MiB.</summary>
    public const int MaximumBytes = 24 << 20;

    const int PieceBytes = 128 << 10;

    /// <exception cref="UsageException">It cannot be read, is too large, or is not what its name says.</exception>
    public static byte[] Read(string file)
    {
        try
        {
            using FileDescriptor opened = TryOpen(file) ?? throw new IOException(Errno.Describe(ENOENT));
            using FileStream stored = new(new SafeFileHandle(opened.Value, ownsHandle: false), FileAccess.Read);
            return Unpack(stored, file);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(file, failure);
        }
    }

    /// <param name="stored">What the file holds.</param>
    /// <param name="file">Its name, which ends with how it is compressed.</param>
    /// <inheritdoc cref="Read"/>
    internal static byte[] Unpack(Stream stored, string file)
    {
        try
        {
            using Stream content = Path.GetExtension(file) switch
            {
                ".ko" => stored,
                ".xz" => new XZStream(stored),
                ".zst" => new DecompressionStream(stored),
                _ => throw new UsageException(
                    $"--modules: {Quote.Value(file)} is compressed in a way that is not known here; unpack the modules "
                        + "first"),
            };
            return Bounded(content, MaximumBytes);
        }
        catch (Exception failure) when (failure is not (UsageException or OutOfMemoryException))
        {
            // A decompressor has many words for what is wrong.
            throw Unreadable(file, failure);
        }
    }

    static UsageException Unreadable(string file, Exception failure) =>
        new($"--modules: {Quote.Value(file)} cannot be read: {Quote.Printable(failure.Message)}");

    /// <summary>What lies beside the modules, opened as carefully; null when there is no such file.</summary>
    /// <exception cref="IOException">It cannot be read, or has more bytes than that.</exception>
    public static byte[]? ReadPlain(string file, int most)
    {
        try
        {
            using FileDescriptor? opened = TryOpen(file);
            if (opened is null)
                return null;
            using FileStream stored = new(new SafeFileHandle(opened.Value, ownsHandle: false), FileAccess.Read);
            return Bounded(stored, most);
        }
        catch (IOException failure)
        {
            throw new IOException($"{Path.GetFileName(file)}: {failure.Message}", failure);
        }
    }

    /// <summary>No link: what one leads to was not looked at. A pipe would make opening wait.</summary>
    static FileDescriptor? TryOpen(string file)
    {
        int error = FileDescriptor.TryOpen(
            file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, out FileDescriptor? opened);
        if (error == -ENOENT)
            return null;
        if (error != 0)
            throw new IOException(Errno.Describe(-error));
        if (opened!.GetStatus(out stat status) == 0 && S_ISREG(status.st_mode))
            return opened;
        opened.Dispose();
        throw new IOException("it is no file");
    }

    static byte[] Bounded(Stream content, int most)
    {
        using var all = new MemoryStream();
        byte[] piece = new byte[PieceBytes];
        for (int count; (count = content.Read(piece)) > 0;)
        {
            if (all.Length + count > most)
                throw new IOException($"it has more than {most >> 20} MiB");
            all.Write(piece.AsSpan(0, count));
        }

        return all.ToArray();
    }
}
