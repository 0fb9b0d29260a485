using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Sandbox.Vmm.Memory;

/// <summary>
/// One process's view of memory: its mappings, its page tables, and the only way in which the VMM reads or writes
/// what the process can see.
/// </summary>
/// <remarks>
/// Two rules for users: guest memory is copied once, then checked, then used; nothing is read twice. No pointer or
/// span over guest memory leaves this class.
/// </remarks>
public sealed partial class AddressSpace
{
    // Implemented in the memory subsystem:
    //   bool TryRead(VirtualAddress source, Span<byte> destination)          false is EFAULT; nothing useful was copied
    //   bool TryWrite(VirtualAddress destination, ReadOnlySpan<byte> source) false is EFAULT; part may have been written
    //   int  ReadString(VirtualAddress source, Span<byte> buffer)            length without NUL, -EFAULT, -ENAMETOOLONG
    //   bool TryCompareExchange(VirtualAddress address, uint expected, uint value, out uint seen)   atomic, for futexes
    //   bool TryGetFutexKey(VirtualAddress address, bool isPrivate, out FutexKey key)
    //   long Map/Unmap/Protect/Remap/Advise/SetBreak...                       used by MemoryCalls and the loader
    //   AddressSpace Fork(), void Acquire(), void Release()

    public bool TryRead<T>(VirtualAddress source, out T value) where T : unmanaged
    {
        Unsafe.SkipInit(out value);
        return TryRead(source, MemoryMarshal.AsBytes(new Span<T>(ref value)));
    }

    public bool TryWrite<T>(VirtualAddress destination, in T value) where T : unmanaged =>
        TryWrite(destination, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));
}
