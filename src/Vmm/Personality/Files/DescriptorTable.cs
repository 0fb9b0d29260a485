using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// A process's descriptors. Shared by its threads, and by processes made with CLONE_FILES. All calls are safe from
/// any thread; the table's lock is a leaf apart from file release, which happens outside it.
/// </summary>
public sealed class DescriptorTable
{
    private readonly Lock _lock = new();
    private readonly int _limit;
    private Slot[] _slots = new Slot[16];
    private int _lowestFree;
    private int _references = 1;

    private struct Slot
    {
        public OpenFile? File;
        public bool CloseOnExec;

        /// <summary>Promised to a file that is being opened: not free, and to everybody but dup2 not there.</summary>
        public bool IsReserved;

        public readonly bool IsFree => File is null && !IsReserved;
    }

    /// <param name="limit">RLIMIT_NOFILE's ceiling: no descriptor is at or above it.</param>
    public DescriptorTable(int limit) => _limit = limit;

    public int Limit => _limit;

    /// <summary>Looks a descriptor up and takes a reference: <see cref="OpenFile.Release"/> it. Null is EBADF.</summary>
    public OpenFile? Acquire(int descriptor)
    {
        lock (_lock)
        {
            if ((uint)descriptor >= (uint)_slots.Length)
                return null;
            OpenFile? file = _slots[descriptor].File;
            return file is not null && file.TryAcquire() ? file : null;
        }
    }

    /// <summary>Puts the file at the lowest free descriptor and takes over the caller's reference.</summary>
    /// <returns>The descriptor, or -EMFILE, and then the reference stays the caller's.</returns>
    public int Add(OpenFile file, bool closeOnExec, int minimum = 0, int softLimit = int.MaxValue)
    {
        lock (_lock)
            return Occupy(new Slot { File = file, CloseOnExec = closeOnExec }, minimum, softLimit);
    }

    /// <summary>
    /// Keeps the lowest free descriptor for a file that is still to be opened, as get_unused_fd_flags does: whoever
    /// finds none has done nothing yet. <see cref="Fill"/> it or <see cref="GiveBack"/>.
    /// </summary>
    /// <returns>The descriptor or -EMFILE.</returns>
    public int Reserve(int softLimit = int.MaxValue)
    {
        lock (_lock)
            return Occupy(new Slot { IsReserved = true }, 0, softLimit);
    }

    /// <summary>Puts the file at a reserved descriptor and takes over the caller's reference.</summary>
    public void Fill(int descriptor, OpenFile file, bool closeOnExec)
    {
        lock (_lock)
        {
            // Nobody's any more (CLOSE_RANGE_UNSHARE in another thread): nobody would close it.
            if (Volatile.Read(ref _references) > 0)
            {
                _slots[descriptor] = new Slot { File = file, CloseOnExec = closeOnExec };
                return;
            }
        }
        file.Release();
    }

    public void GiveBack(int descriptor)
    {
        lock (_lock)
            Take(descriptor);
    }

    private int Occupy(in Slot slot, int minimum, int softLimit)
    {
        int descriptor = Math.Max(minimum, _lowestFree);
        while (descriptor < _slots.Length && !_slots[descriptor].IsFree)
            descriptor++;
        if (descriptor >= Math.Min(_limit, softLimit))
            return -EMFILE;
        Grow(descriptor);
        _slots[descriptor] = slot;
        if (minimum <= _lowestFree)
            _lowestFree = descriptor + 1;
        return descriptor;
    }

    /// <summary>dup2: puts the file at exactly this descriptor, closing what was there.</summary>
    /// <returns>The descriptor, -EBADF, or -EBUSY where a file is about to be.</returns>
    public int Replace(Process? process, int descriptor, OpenFile file, bool closeOnExec)
    {
        if ((uint)descriptor >= (uint)_limit)
            return -EBADF;
        OpenFile? old;
        lock (_lock)
        {
            Grow(descriptor);
            if (_slots[descriptor].IsReserved)
                return -EBUSY;
            old = _slots[descriptor].File;
            _slots[descriptor] = new Slot { File = file, CloseOnExec = closeOnExec };
        }
        Drop(process, old);
        return descriptor;
    }

    public int Close(Process? process, int descriptor)
    {
        OpenFile? file;
        lock (_lock)
        {
            if ((uint)descriptor >= (uint)_slots.Length || _slots[descriptor].File is null)
                return -EBADF;
            file = Take(descriptor);
        }
        Drop(process, file);
        return 0;
    }

    /// <summary>close_range(2) and exec: closes every descriptor in range that passes.</summary>
    public void CloseRange(Process? process, int first, int last, bool onlyCloseOnExec)
    {
        for (int descriptor = Math.Max(first, 0); ; descriptor++)
        {
            OpenFile? file = null;
            lock (_lock)
            {
                if (descriptor > last || descriptor >= _slots.Length)
                    return;
                if (_slots[descriptor].File is not null && (!onlyCloseOnExec || _slots[descriptor].CloseOnExec))
                    file = Take(descriptor);
            }
            Drop(process, file);
        }
    }

    /// <returns>FD_CLOEXEC, 0, or -EBADF.</returns>
    public int GetFlags(int descriptor)
    {
        lock (_lock)
        {
            if ((uint)descriptor >= (uint)_slots.Length || _slots[descriptor].File is null)
                return -EBADF;
            return _slots[descriptor].CloseOnExec ? FD_CLOEXEC : 0;
        }
    }

    public int SetCloseOnExec(int descriptor, bool value)
    {
        lock (_lock)
        {
            if ((uint)descriptor >= (uint)_slots.Length || _slots[descriptor].File is null)
                return -EBADF;
            _slots[descriptor].CloseOnExec = value;
            return 0;
        }
    }

    /// <summary>close_range(2) with CLOSE_RANGE_CLOEXEC.</summary>
    public void SetCloseOnExecRange(int first, int last)
    {
        lock (_lock)
        {
            for (int descriptor = Math.Max(first, 0); descriptor <= last && descriptor < _slots.Length; descriptor++)
                if (_slots[descriptor].File is not null)
                    _slots[descriptor].CloseOnExec = true;
        }
    }

    /// <summary>The lowest open descriptor at or above <paramref name="from"/>, or -1: for /proc/self/fd.</summary>
    public int NextOpen(int from)
    {
        lock (_lock)
        {
            for (int descriptor = Math.Max(from, 0); descriptor < _slots.Length; descriptor++)
                if (_slots[descriptor].File is not null)
                    return descriptor;
            return -1;
        }
    }

    /// <summary>fork: a table of its own that refers to the same files.</summary>
    public DescriptorTable Copy()
    {
        lock (_lock)
        {
            DescriptorTable copy = new(_limit) { _slots = new Slot[_slots.Length], _lowestFree = _lowestFree };
            for (int i = 0; i < _slots.Length; i++)
            {
                if (_slots[i].File is { } file && file.TryAcquire())
                    copy._slots[i] = _slots[i];
                else
                    copy._lowestFree = Math.Min(copy._lowestFree, i);
            }
            return copy;
        }
    }

    /// <summary>CLONE_FILES: one more process uses this table.</summary>
    public DescriptorTable Share()
    {
        Interlocked.Increment(ref _references);
        return this;
    }

    public bool IsShared => Volatile.Read(ref _references) > 1;

    /// <summary>A process is done with the table; the last one closes everything.</summary>
    public void Release(Process process)
    {
        if (Interlocked.Decrement(ref _references) == 0)
            CloseRange(process, 0, int.MaxValue, onlyCloseOnExec: false);
    }

    private OpenFile? Take(int descriptor)
    {
        OpenFile? file = _slots[descriptor].File;
        _slots[descriptor] = default;
        _lowestFree = Math.Min(_lowestFree, descriptor);
        return file;
    }

    private static void Drop(Process? process, OpenFile? file)
    {
        if (file is null)
            return;
        if (process is not null)
            file.OnDescriptorClosed(process);
        file.Release();
    }

    private void Grow(int descriptor)
    {
        if (descriptor < _slots.Length)
            return;
        int size = _slots.Length;
        while (size <= descriptor)
            size *= 2;
        Array.Resize(ref _slots, Math.Min(size, _limit));
    }
}
