namespace Sandbox.Vmm.Boot;

/// <summary>
/// A kernel or initrd as a loader sees it. Whoever wrote it is not trusted, and may be writing still.
/// </summary>
public interface IBootFile
{
    /// <summary>Bytes, as they were when it was opened.</summary>
    ulong Length { get; }

    /// <summary>
    /// Fills the whole destination from an offset on. False when the file has not that much, or cannot be read.
    /// </summary>
    bool TryRead(ulong offset, Span<byte> destination);
}
