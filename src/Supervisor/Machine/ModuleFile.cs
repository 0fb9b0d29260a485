using SharpCompress.Compressors.Xz;
using SharpCompress.Compressors.ZStandard;

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
            using FileStream stored = File.OpenRead(file);
            using Stream content = Path.GetExtension(file) switch
            {
                ".ko" => stored,
                ".xz" => new XZStream(stored),
                ".zst" => new DecompressionStream(stored),
                _ => throw new UsageException(
                    $"--modules: {file} is compressed in a way that is not known here; unpack the modules first"),
            };
            return Bounded(content);
        }
        catch (Exception failure) when (failure is not (UsageException or OutOfMemoryException))
        {
            // A decompressor has many words for what is wrong.
            throw new UsageException($"--modules: {file} cannot be read: {failure.Message.ReplaceLineEndings(" ")}");
        }
    }

    static byte[] Bounded(Stream content)
    {
        using var all = new MemoryStream();
        byte[] piece = new byte[PieceBytes];
        for (int count; (count = content.Read(piece)) > 0;)
        {
            if (all.Length + count > MaximumBytes)
                throw new IOException($"it has more than {MaximumBytes >> 20} MiB");
            all.Write(piece.AsSpan(0, count));
        }

        return all.ToArray();
    }
}
