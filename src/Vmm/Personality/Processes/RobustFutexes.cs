using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

/// <summary>
/// The list of locks that a dying thread holds (set_robust_list(2)): each is marked FUTEX_OWNER_DIED and one waiter
/// is woken. The list is the guest's: its length is bounded and every address is checked.
/// </summary>
static class RobustFutexes
{
    // Bit 0 of a list pointer marks a priority-inheritance lock.
    private const ulong PointerFlags = 1;

    public static void Release(GuestThread thread)
    {
        AddressSpace memory = thread.Memory;
        ulong headAddress = thread.RobustList;
        if (!memory.TryRead(new VirtualAddress(headAddress), out robust_list_head head))
            return;
        ulong pending = head.list_op_pending & ~PointerFlags;
        bool pendingInherits = (head.list_op_pending & PointerFlags) != 0;
        ulong entry = head.list.next;
        for (int left = ROBUST_LIST_LIMIT; left > 0 && (entry & ~PointerFlags) != headAddress; left--)
        {
            ulong address = entry & ~PointerFlags;
            // The next pointer is fetched first: the lock's owner may free the entry once it is unlocked.
            bool more = memory.TryRead(new VirtualAddress(address), out robust_list link);
            if (address != pending
                && !ReleaseOne(thread, unchecked(address + (ulong)head.futex_offset), isPending: false,
                    (entry & PointerFlags) != 0))
                return;
            if (!more)
                return;
            entry = link.next;
        }
        if (pending != 0)
            ReleaseOne(thread, unchecked(pending + (ulong)head.futex_offset), isPending: true, pendingInherits);
    }

    private static bool ReleaseOne(GuestThread thread, ulong address, bool isPending, bool inherits)
    {
        AddressSpace memory = thread.Memory;
        VirtualAddress word = new(address);
        if ((address & 3) != 0 || !memory.TryLoad(word, out uint value))
            return false;
        // Died between unlocking and waking: the wake-up is made up for.
        if (isPending && !inherits && (value & FUTEX_TID_MASK) == 0)
        {
            thread.Personality.Futexes.Wake(thread, address, isPrivate: false, 1, FUTEX_BITSET_MATCH_ANY);
            return true;
        }
        while ((value & FUTEX_TID_MASK) == (uint)thread.Tid)
        {
            uint died = (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
            if (!memory.TryCompareExchange(word, value, died, out uint seen))
                return false;
            if (seen != value)
            {
                value = seen;
                continue;
            }
            if ((value & FUTEX_WAITERS) != 0 && inherits)
                thread.Personality.Futexes.PassLockOfDead(thread, address);
            else if ((value & FUTEX_WAITERS) != 0)
                thread.Personality.Futexes.Wake(thread, address, isPrivate: false, 1, FUTEX_BITSET_MATCH_ANY);
            break;
        }
        return true;
    }
}
