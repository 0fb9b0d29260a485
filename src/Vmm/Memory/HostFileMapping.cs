using Sandbox.Host;

namespace Sandbox.Vmm.Memory;

/// <summary>
/// A host file as mmap(2) sees it. The memory subsystem maps the descriptor into the file window, shared between all
/// mappings of the same (device, inode); a private writable mapping copies pages on write into the pool.
/// </summary>
/// <param name="file">Opened for reading, and for writing when shared writable mappings are to be allowed.</param>
public sealed class HostFileMapping(FileDescriptor file, bool writable, string name, ulong device, ulong inode) : IMappable
{
    public FileDescriptor File { get; } = file;

    /// <summary>Whether MAP_SHARED with PROT_WRITE may be asked for.</summary>
    public bool Writable { get; } = writable;

    public string MappingName { get; } = name;

    public (ulong Device, ulong Inode) Identity { get; } = (device, inode);

    /// <summary>
    /// Acquired while the file is mapped on the host, which keeps its blocks there even without a name. Null when nobody counts.
    /// </summary>
    internal IContentHold? Hold { get; init; }
}
