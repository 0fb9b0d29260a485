namespace Sandbox.Vmm.Memory;

// The signatures that the rest of the VMM is written against; the memory subsystem replaces this file.
public sealed partial class AddressSpace
{
    /// <summary>copy_from_user. False is EFAULT; the destination then holds nothing useful.</summary>
    public bool TryRead(VirtualAddress source, Span<byte> destination) => throw new NotImplementedException();

    /// <summary>copy_to_user. False is EFAULT; part may have been written.</summary>
    public bool TryWrite(VirtualAddress destination, ReadOnlySpan<byte> source) => throw new NotImplementedException();

    /// <summary>Bytes that can be read (or written) from here on, at most length: for partial transfers.</summary>
    public long Accessible(VirtualAddress start, ulong length, bool write) => throw new NotImplementedException();

    /// <summary>Copies a string up to its NUL. Its length without NUL, -EFAULT, or -ENAMETOOLONG when it does not fit.</summary>
    public int ReadString(VirtualAddress source, Span<byte> buffer) => throw new NotImplementedException();

    /// <summary>Atomic compare-and-exchange of a naturally aligned word. False is EFAULT.</summary>
    public bool TryCompareExchange(VirtualAddress address, uint expected, uint value, out uint seen) =>
        throw new NotImplementedException();

    /// <summary>Atomic load of a naturally aligned word. False is EFAULT.</summary>
    public bool TryLoad(VirtualAddress address, out uint value) => throw new NotImplementedException();

    /// <summary>What identifies a futex word: the page for shared ones, this address space for private ones.</summary>
    public bool TryGetFutexKey(VirtualAddress address, bool isPrivate, out FutexKey key) =>
        throw new NotImplementedException();

    /// <summary>mmap(2) after argument checks of the call layer. The address, or a negative errno.</summary>
    /// <param name="backing">Null for anonymous memory (MAP_SHARED anonymous gets a PagedObject inside).</param>
    public long Map(VirtualAddress hint, ulong length, Protection protection, int flags, IMappable? backing, ulong offset) =>
        throw new NotImplementedException();

    public long Unmap(VirtualAddress start, ulong length) => throw new NotImplementedException();

    public long Protect(VirtualAddress start, ulong length, Protection protection) => throw new NotImplementedException();

    /// <summary>Sets where brk(2) begins: behind the program's last segment.</summary>
    public void SetBreakStart(VirtualAddress start) => throw new NotImplementedException();

    /// <summary>Resolves a fault of user code.</summary>
    public FaultResult HandleFault(VirtualAddress address, bool write, bool execute) => throw new NotImplementedException();

    /// <summary>fork(2): a copy-on-write copy; null when the memory limit does not allow it.</summary>
    public AddressSpace? Fork() => throw new NotImplementedException();

    /// <summary>CLONE_VM: one more process uses this space.</summary>
    public AddressSpace Share() => throw new NotImplementedException();

    /// <summary>A process is done with it; the last one frees everything.</summary>
    public void Release() => throw new NotImplementedException();

    /// <summary>Bytes resident (VmRSS), and mapped (VmSize).</summary>
    public (ulong Resident, ulong Mapped) Usage => throw new NotImplementedException();

    /// <summary>The mappings in address order, for /proc/self/maps.</summary>
    public IReadOnlyList<MappingDescription> Describe() => throw new NotImplementedException();
}

/// <summary>One line of /proc/PID/maps.</summary>
public readonly record struct MappingDescription(
    ulong Start, ulong End, Protection Protection, bool Shared, ulong Offset, ulong Device, ulong Inode, string Name);

/// <summary>Identity of a futex word; equal keys are the same word.</summary>
public readonly record struct FutexKey(object Owner, ulong Offset);
