using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Memory;

/// <summary>
/// The part of guest-physical space behind which host files are mapped. Guests that map a file share the host's page
/// cache; nothing is copied and nothing is charged to the guest's limit.
/// </summary>
/// <remarks>
/// A file may become shorter at any time, and touching a page past its end would kill the VMM with SIGBUS. The VMM
/// therefore reads and writes the window only through process_vm_readv, which answers EFAULT. Both sides are this
/// process's memory: for a write the window is the side that is copied to.
/// </remarks>
public sealed unsafe class FileWindow : IDisposable
{
    public const ulong PhysicalBase = 0x40_0000_0000;

    /// <summary>16 GiB of files at once.</summary>
    private const ulong Size = 16UL << 30;

    private const ulong FirstSlot = 64UL << 20;

    /// <summary>Files are mapped in pieces of at most 16 MiB, so that a large file costs only what is mapped of it.</summary>
    internal const int ChunkShift = 24;

    internal const ulong ChunkSize = 1UL << ChunkShift;

    /// <summary>Files that nobody maps any more stay in the window for the next program, up to this many.</summary>
    private const int IdleLimit = 256;

    private readonly Lock _lock = new();
    private readonly IMemorySlots _slots;
    private readonly MemoryMapping _memory;
    private readonly Dictionary<(ulong Device, ulong Inode, bool Writable), WindowFile> _files = [];
    private readonly LinkedList<WindowFile> _idle = new();
    private readonly SortedList<ulong, ulong> _freeRanges = [];
    private ulong _exposed;
    private ulong _untouched;

    public FileWindow(IMemorySlots slots)
    {
        _slots = slots;
        _memory = MemoryMapping.ReserveAligned(unchecked((nuint)Size), Page.LargeSize, PROT_NONE, "the file window");
        _ = madvise(_memory.Address, _memory.Length, MADV_DONTDUMP);
    }

    public static bool Contains(PhysicalAddress address) => address.Value is >= PhysicalBase and < PhysicalBase + Size;

    /// <summary>
    /// The file's place in the window, with one reference for the caller, covering [offset, offset + length).
    /// </summary>
    /// <returns>0, or a negative errno.</returns>
    internal long Open(HostFileMapping file, ulong offset, ulong length, out WindowFile? result)
    {
        (ulong device, ulong inode) = file.Identity;
        lock (_lock)
        {
            if (!_files.TryGetValue((device, inode, file.Writable), out WindowFile? window))
            {
                _files.TryGetValue((device, inode, !file.Writable), out WindowFile? other);
                window = new WindowFile(this, file, other?.SharedIdentity ?? new object());
                _files.Add((device, inode, file.Writable), window);
                window.IdleNode = _idle.AddLast(window);
            }
            Pin(window);
            long error = window.Cover(file.File, offset, length);
            if (error != 0)
            {
                Unpin(window);
                result = null;
                return error;
            }
            result = window;
            return 0;
        }
    }

    internal void Acquire(WindowFile file)
    {
        lock (_lock)
            Pin(file);
    }

    internal void Release(WindowFile file)
    {
        lock (_lock)
            Unpin(file);
    }

    /// <summary>Reads one page or less. False when the file has no such page (any more).</summary>
    public bool TryRead(PhysicalAddress source, Span<byte> destination)
    {
        fixed (byte* target = destination)
        {
            iovec local = new() { iov_base = target, iov_len = (nuint)destination.Length };
            iovec remote = new() { iov_base = HostAddress(source), iov_len = (nuint)destination.Length };
            return process_vm_readv(Environment.ProcessId, &local, 1, &remote, 1, 0) == destination.Length;
        }
    }

    /// <summary>Copies consecutive pages of a file into pages of the pool.</summary>
    /// <returns>How many whole pages the file has there and were copied.</returns>
    internal int CopyPages(PhysicalAddress source, PagePool pool, ReadOnlySpan<PhysicalAddress> targets)
    {
        iovec* local = stackalloc iovec[targets.Length];
        for (int i = 0; i < targets.Length; i++)
            local[i] = new iovec { iov_base = pool.HostAddress(targets[i]), iov_len = Page.Size };
        iovec remote = new() { iov_base = HostAddress(source), iov_len = (nuint)targets.Length * Page.Size };
        nint copied = process_vm_readv(Environment.ProcessId, local, (nuint)targets.Length, &remote, 1, 0);
        return copied < 0 ? 0 : (int)(copied / Page.Size);
    }

    /// <summary>Writes one page or less. False when the file has no such page (any more).</summary>
    public bool TryWrite(PhysicalAddress destination, ReadOnlySpan<byte> source)
    {
        fixed (byte* from = source)
        {
            iovec local = new() { iov_base = HostAddress(destination), iov_len = (nuint)source.Length };
            iovec remote = new() { iov_base = from, iov_len = (nuint)source.Length };
            return process_vm_readv(Environment.ProcessId, &local, 1, &remote, 1, 0) == source.Length;
        }
    }

    /// <summary>msync(2) of a range within one chunk.</summary>
    public long Synchronize(PhysicalAddress start, ulong length, int flags) =>
        msync(HostAddress(start), (nuint)length, flags) == 0 ? 0 : -errno;

    private byte* HostAddress(PhysicalAddress address) => _memory.Address + (address.Value - PhysicalBase);

    /// <summary>Maps a piece of a file. The address, or None with the errno in <paramref name="error"/>.</summary>
    internal PhysicalAddress MapChunk(FileDescriptor file, bool writable, ulong offset, ulong length, out long error)
    {
        ulong size = (length + Page.LargeSize - 1) & ~(ulong)(Page.LargeSize - 1);
        if (!TryTakeRange(size, out ulong start))
        {
            error = -ENOMEM;
            return PhysicalAddress.None;
        }
        int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
        void* at = mmap(_memory.Address + start, (nuint)size, protection, MAP_SHARED | MAP_FIXED,
            file.Value, (long)offset);
        if (at == MAP_FAILED)
        {
            error = -errno;
            ReturnRange(start, size);
            return PhysicalAddress.None;
        }
        error = 0;
        return new PhysicalAddress(PhysicalBase + start);
    }

    internal void UnmapChunk(PhysicalAddress start, ulong length)
    {
        ulong size = (length + Page.LargeSize - 1) & ~(ulong)(Page.LargeSize - 1);
        ulong offset = start.Value - PhysicalBase;
        // Replacing the host mapping also drops every translation that a platform derived from it.
        void* at = mmap(_memory.Address + offset, (nuint)size, PROT_NONE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED)
            throw HostException.Last("mmap", "the file window", "the host is out of memory mappings: raise vm.max_map_count");
        ReturnRange(offset, size);
    }

    /// <summary>The range is free, joined with those around it.</summary>
    private void ReturnRange(ulong start, ulong size)
    {
        _freeRanges.Add(start, size);
        int index = _freeRanges.IndexOfKey(start);
        JoinWithNext(index);
        if (index > 0)
            JoinWithNext(index - 1);
    }

    private void JoinWithNext(int index)
    {
        ulong start = _freeRanges.GetKeyAtIndex(index), size = _freeRanges.GetValueAtIndex(index);
        if (index + 1 == _freeRanges.Count || _freeRanges.GetKeyAtIndex(index + 1) != start + size)
            return;
        _freeRanges.SetValueAtIndex(index, size + _freeRanges.GetValueAtIndex(index + 1));
        _freeRanges.RemoveAt(index + 1);
    }

    private bool TryTakeRange(ulong size, out ulong start)
    {
        for (int i = 0; i < _freeRanges.Count; i++)
        {
            ulong free = _freeRanges.GetValueAtIndex(i);
            if (free < size)
                continue;
            start = _freeRanges.GetKeyAtIndex(i);
            _freeRanges.RemoveAt(i);
            if (free > size)
                _freeRanges.Add(start + size, free - size);
            return true;
        }
        while (_untouched + size > _exposed)
        {
            if (_exposed == Size)
            {
                start = 0;
                return _idle.Count > 0 && EvictOldest() && TryTakeRange(size, out start);
            }
            ulong grow = Math.Min(Math.Max(FirstSlot, _exposed), Size - _exposed);
            _slots.Add(new PhysicalAddress(PhysicalBase + _exposed), _memory.Address + _exposed, grow);
            _exposed += grow;
        }
        start = _untouched;
        _untouched += size;
        return true;
    }

    private void Pin(WindowFile file)
    {
        if (file.References++ == 0 && file.IdleNode is not null)
        {
            _idle.Remove(file.IdleNode);
            file.IdleNode = null;
        }
    }

    private void Unpin(WindowFile file)
    {
        if (--file.References > 0)
            return;
        // What is counted goes at once: a deleted file that stays mapped keeps its blocks.
        if (file.Hold is not null)
        {
            Remove(file);
            return;
        }
        file.IdleNode = _idle.AddLast(file);
        if (_idle.Count > IdleLimit)
            EvictOldest();
    }

    private bool EvictOldest()
    {
        WindowFile oldest = _idle.First!.Value;
        _idle.RemoveFirst();
        Remove(oldest);
        return true;
    }

    private void Remove(WindowFile file)
    {
        _files.Remove((file.Identity.Device, file.Identity.Inode, file.Writable));
        file.Unmap();
    }

    public void Dispose() => _memory.Dispose();
}
