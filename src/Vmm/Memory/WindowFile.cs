using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Memory;

/// <summary>One host file in the <see cref="FileWindow"/>; shared by every mapping of it in the guest.</summary>
internal sealed class WindowFile : IMappingBacking
{
    private readonly FileWindow _window;
    private readonly Dictionary<ulong, Chunk> _chunks = [];

    private readonly record struct Chunk(PhysicalAddress Start, ulong Length);

    public WindowFile(FileWindow window, HostFileMapping file, object sharedIdentity)
    {
        _window = window;
        Writable = file.Writable;
        MappingName = file.MappingName;
        Identity = file.Identity;
        SharedIdentity = sharedIdentity;
        Hold = file.Hold;
        Hold?.Acquire();
    }

    internal IContentHold? Hold { get; }

    public string MappingName { get; }

    public (ulong Device, ulong Inode) Identity { get; }

    /// <summary>
    /// The same object for both places that a file may have in the window: mapped for reading only it has one of its own.
    /// </summary>
    internal object SharedIdentity { get; }

    /// <summary>The host mapping allows writes, which reach the file.</summary>
    public bool Writable { get; }

    /// <summary>Guarded by the window's lock.</summary>
    internal int References { get; set; }

    /// <summary>The place among idle files while nobody holds a reference. Guarded by the window's lock.</summary>
    internal LinkedListNode<WindowFile>? IdleNode { get; set; }

    public void Acquire() => _window.Acquire(this);

    public void Release() => _window.Release(this);

    /// <summary>Where a byte of the file is; None outside what <see cref="Cover"/> has mapped.</summary>
    public PhysicalAddress AddressOf(ulong offset)
    {
        lock (_chunks)
        {
            if (!_chunks.TryGetValue(offset >> FileWindow.ChunkShift, out Chunk chunk))
                return PhysicalAddress.None;
            ulong inChunk = offset & (FileWindow.ChunkSize - 1);
            return inChunk < chunk.Length ? new PhysicalAddress(chunk.Start.Value + inChunk) : PhysicalAddress.None;
        }
    }

    /// <summary>
    /// Maps the chunks that hold [offset, offset + length), all or none. A chunk at the end of a file that has grown since
    /// keeps its place as long as it is large enough.
    /// </summary>
    internal long Cover(FileDescriptor file, ulong offset, ulong length)
    {
        ulong end = offset + length;
        List<(ulong Index, Chunk Chunk)>? made = null;
        for (ulong index = offset >> FileWindow.ChunkShift; index << FileWindow.ChunkShift < end; index++)
        {
            ulong start = index << FileWindow.ChunkShift;
            ulong wanted = Math.Min(end - start, FileWindow.ChunkSize);
            // Whole large pages, so that the other segments of a program usually find their chunk already mapped.
            wanted = (wanted + Page.LargeSize - 1) & ~(ulong)(Page.LargeSize - 1);
            Chunk present;
            lock (_chunks)
                _chunks.TryGetValue(index, out present);
            if (present.Length >= wanted)
                continue;
            PhysicalAddress address = _window.MapChunk(file, Writable, start, wanted, out long error);
            if (error == 0)
            {
                (made ??= []).Add((index, new Chunk(address, wanted)));
                continue;
            }
            // Nobody has seen them yet.
            foreach ((_, Chunk chunk) in made ?? [])
                _window.UnmapChunk(chunk.Start, chunk.Length);
            return error;
        }
        lock (_chunks)
        {
            foreach ((ulong index, Chunk chunk) in made ?? [])
            {
                // Mappings made earlier keep using the shorter place until they go: both show the same file.
                if (_chunks.TryGetValue(index, out Chunk shorter))
                    _outgrown.Add(shorter);
                _chunks[index] = chunk;
            }
        }
        return 0;
    }

    private readonly List<Chunk> _outgrown = [];

    internal void Unmap()
    {
        lock (_chunks)
        {
            foreach (Chunk chunk in _chunks.Values)
                _window.UnmapChunk(chunk.Start, chunk.Length);
            foreach (Chunk chunk in _outgrown)
                _window.UnmapChunk(chunk.Start, chunk.Length);
            _chunks.Clear();
            _outgrown.Clear();
        }
        Hold?.Release();
    }
}
