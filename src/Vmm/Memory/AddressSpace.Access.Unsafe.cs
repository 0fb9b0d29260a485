using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Memory;

public sealed unsafe partial class AddressSpace
{
    public bool TryRead<T>(VirtualAddress source, out T value) where T : unmanaged
    {
        Unsafe.SkipInit(out value);
        return TryRead(source, MemoryMarshal.AsBytes(new Span<T>(ref value)));
    }

    public bool TryWrite<T>(VirtualAddress destination, in T value) where T : unmanaged =>
        TryWrite(destination, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    /// <summary>copy_from_user. False is EFAULT; the destination then holds nothing useful.</summary>
    public bool TryRead(VirtualAddress source, Span<byte> destination)
    {
        lock (_lock)
        {
            ulong address = source.Value;
            while (destination.Length > 0)
            {
                if (!TryReach(address, write: false, out PhysicalAddress physical))
                    return false;
                int part = Math.Min(destination.Length, Page.Size - (int)(address & (Page.Size - 1)));
                if (PagePool.Contains(physical))
                    new ReadOnlySpan<byte>(_memory.Pool.HostAddress(physical), part).CopyTo(destination);
                else if (!_memory.Window.TryRead(physical, destination[..part]))
                    return false;
                destination = destination[part..];
                address += (ulong)part;
            }
            return true;
        }
    }

    /// <summary>copy_to_user. False is EFAULT; part may have been written.</summary>
    public bool TryWrite(VirtualAddress destination, ReadOnlySpan<byte> source)
    {
        lock (_lock)
        {
            ulong address = destination.Value;
            while (source.Length > 0)
            {
                if (!TryReach(address, write: true, out PhysicalAddress physical))
                    return false;
                int part = Math.Min(source.Length, Page.Size - (int)(address & (Page.Size - 1)));
                if (PagePool.Contains(physical))
                    source[..part].CopyTo(new Span<byte>(_memory.Pool.HostAddress(physical), part));
                else if (!_memory.Window.TryWrite(physical, source[..part]))
                    return false;
                source = source[part..];
                address += (ulong)part;
            }
            return true;
        }
    }

    /// <summary>
    /// How many bytes from here on can be read (or written), at most <paramref name="length"/>: for calls that
    /// transfer part of what was asked, and for those that must not start what they cannot finish.
    /// </summary>
    public long Accessible(VirtualAddress start, ulong length, bool write)
    {
        lock (_lock)
        {
            ulong address = start.Value;
            ulong end = address + length < address ? ulong.MaxValue : address + length;
            while (address < end && TryReach(address, write, out _))
                address = Math.Min(end, Page.RoundDown(address) + Page.Size);
            return (long)(address - start.Value);
        }
    }

    /// <summary>
    /// Copies a string up to its NUL: its length without the NUL, -EFAULT, or -ENAMETOOLONG when the buffer is full.
    /// </summary>
    public int ReadString(VirtualAddress source, Span<byte> buffer)
    {
        int length = 0;
        lock (_lock)
        {
            while (length < buffer.Length)
            {
                ulong address = unchecked(source.Value + (ulong)length);
                if (!TryReach(address, write: false, out PhysicalAddress physical))
                    return -EFAULT;
                int part = Math.Min(buffer.Length - length, Page.Size - (int)(address & (Page.Size - 1)));
                Span<byte> piece = buffer.Slice(length, part);
                if (PagePool.Contains(physical))
                    new ReadOnlySpan<byte>(_memory.Pool.HostAddress(physical), part).CopyTo(piece);
                else if (!_memory.Window.TryRead(physical, piece))
                    return -EFAULT;
                int end = piece.IndexOf((byte)0);
                if (end >= 0)
                    return length + end;
                length += part;
            }
        }
        return -ENAMETOOLONG;
    }

    /// <summary>Atomic compare-and-exchange of a naturally aligned word. False is EFAULT.</summary>
    public bool TryCompareExchange(VirtualAddress address, uint expected, uint value, out uint seen)
    {
        lock (_lock)
        {
            seen = 0;
            if ((address.Value & 3) != 0 || !TryReach(address.Value, write: true, out PhysicalAddress physical)
                || !PagePool.Contains(physical))
                return false;
            seen = Interlocked.CompareExchange(ref *(uint*)_memory.Pool.HostAddress(physical), value, expected);
            return true;
        }
    }

    /// <summary>Atomic load of a naturally aligned word. False is EFAULT.</summary>
    public bool TryLoad(VirtualAddress address, out uint value)
    {
        value = 0;
        lock (_lock)
        {
            if ((address.Value & 3) != 0 || !TryReach(address.Value, write: false, out PhysicalAddress physical))
                return false;
            if (!PagePool.Contains(physical))
                return _memory.Window.TryRead(physical, MemoryMarshal.AsBytes(new Span<uint>(ref value)));
            value = Volatile.Read(ref *(uint*)_memory.Pool.HostAddress(physical));
            return true;
        }
    }

    /// <summary>What identifies a futex word: the shared object and offset, or this address space and the address.</summary>
    public bool TryGetFutexKey(VirtualAddress address, bool isPrivate, out FutexKey key)
    {
        key = new FutexKey(this, address.Value);
        lock (_lock)
        {
            Mapping? mapping = _mappings.Find(address.Value);
            if (mapping is null)
                return false;
            if (!isPrivate && mapping is { Shared: true, Backing: { } backing })
                key = new FutexKey((backing as WindowFile)?.SharedIdentity ?? backing,
                    mapping.Offset + (address.Value - mapping.Start));
            return true;
        }
    }

    /// <summary>Finds, or brings in, the page behind an address with the program's own rights.</summary>
    private bool TryReach(ulong address, bool write, out PhysicalAddress physical)
    {
        physical = PhysicalAddress.None;
        if (address >= PageTable.UserLimit)
            return false;
        PageTableEntry leaf = _table.Lookup(address);
        if (!leaf.IsPresent || (write && !leaf.IsWritable))
        {
            if (ResolveLocked(address, write, execute: false, byGuest: false) != FaultResult.Resolved)
                return false;
            leaf = _table.Lookup(address);
            if (!leaf.IsPresent || (write && !leaf.IsWritable))
                return false;
        }
        ulong mask = leaf.IsLarge ? Page.LargeSize - 1 : (ulong)(Page.Size - 1);
        ulong frame = leaf.Address.Value & ~mask;
        physical = new PhysicalAddress(frame + (address & mask));
        return true;
    }
}
