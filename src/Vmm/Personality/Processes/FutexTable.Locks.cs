using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Processes;

// FUTEX_LOCK_PI and its relatives: locks whose word holds the owner's tid and whose owner the kernel chooses. Nothing
// is inherited, since the guest's priorities mean nothing to the host; the protocol of the word is the kernel's.
sealed partial class FutexTable
{
    /// <summary>A deadline that means "try only".</summary>
    public const long NoWait = long.MinValue;

    /// <summary>FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_TRYLOCK_PI.</summary>
    /// <returns>
    /// 0 as the owner, -EDEADLK when it is already, -EAGAIN (try only), -ESRCH when the owner does not exist,
    /// -ETIMEDOUT, <see cref="Restart.NoInterrupt"/> when a signal came.
    /// </returns>
    public long Lock(GuestThread thread, ulong address, bool isPrivate, long deadline)
    {
        long error = TryGetKey(thread, address, isPrivate, out FutexKey key);
        if (error != 0)
            return error;
        FutexWaiter waiter = thread.FutexWaiter;
        int index = IndexOf(key);
        Bucket bucket = _buckets[index];
        VirtualAddress word = new(address);
        uint tid = (uint)thread.Tid, stranger = 0;
        while (true)
        {
            // Looked up outside the bucket's lock, which is below the lock over threads.
            if (stranger != 0 && thread.Personality.FindThread((int)stranger) is null)
                return -ESRCH;
            uint known = stranger;
            lock (bucket.Lock)
            {
                error = TryTake(thread.Memory, word, tid, out uint owner);
                if (error <= 0)
                    return error;
                if (deadline == NoWait)
                    return -EAGAIN;
                if (owner != known)
                {
                    stranger = owner;
                    continue;
                }
                if (!TryMarkWaiters(thread.Memory, word, owner, out bool changed))
                    return -EFAULT;
                if (changed)
                    continue;
                waiter.Key = key;
                waiter.Bits = FUTEX_BITSET_MATCH_ANY;
                waiter.WantsLock = true;
                waiter.Bucket = index;
                bucket.Append(waiter);
            }
            return AwaitLock(thread, waiter, deadline);
        }
    }

    private long AwaitLock(GuestThread thread, FutexWaiter waiter, long deadline)
    {
        while (true)
        {
            if (waiter.Bucket < 0)
                return Finish(waiter, 0);
            if (thread.MayWait(Restart.NoInterrupt) is var code and not 0)
                return Finish(waiter, Withdraw(waiter) ? code : 0);
            if (!thread.Parker.Park(deadline))
                return Finish(waiter, Withdraw(waiter) ? -ETIMEDOUT : 0);
        }
    }

    /// <summary>0 when the lock was free and is the caller's now, 1 with its owner, or a negative errno.</summary>
    private static long TryTake(AddressSpace memory, VirtualAddress word, uint tid, out uint owner)
    {
        owner = 0;
        if (!memory.TryLoad(word, out uint value))
            return -EFAULT;
        while (true)
        {
            owner = value & FUTEX_TID_MASK;
            if (owner == tid)
                return -EDEADLK;
            if (owner != 0)
                return 1;
            if (!memory.TryCompareExchange(word, value, (value & ~(uint)FUTEX_TID_MASK) | tid, out uint seen))
                return -EFAULT;
            if (seen == value)
                return 0;
            value = seen;
        }
    }

    /// <summary>Tells the owner that its unlock must come here. Changed when the word is not the owner's any more.</summary>
    private static bool TryMarkWaiters(AddressSpace memory, VirtualAddress word, uint owner, out bool changed)
    {
        changed = false;
        if (!memory.TryLoad(word, out uint value))
            return false;
        while ((value & FUTEX_TID_MASK) == owner)
        {
            if ((value & FUTEX_WAITERS) != 0)
                return true;
            if (!memory.TryCompareExchange(word, value, value | FUTEX_WAITERS, out uint seen))
                return false;
            if (seen == value)
                return true;
            value = seen;
        }
        changed = true;
        return true;
    }

    /// <summary>FUTEX_UNLOCK_PI: the first waiter becomes the owner. -EPERM when the caller is not the owner.</summary>
    public long Unlock(GuestThread thread, ulong address, bool isPrivate)
    {
        long error = TryGetKey(thread, address, isPrivate, out FutexKey key);
        if (error != 0)
            return error;
        VirtualAddress word = new(address);
        Bucket bucket = _buckets[IndexOf(key)];
        lock (bucket.Lock)
        {
            if (!thread.Memory.TryLoad(word, out uint value))
                return -EFAULT;
            while (true)
            {
                if ((value & FUTEX_TID_MASK) != (uint)thread.Tid)
                    return -EPERM;
                if (!TryPass(thread.Memory, word, bucket, key, value, 0, out uint seen))
                    return -EFAULT;
                if (seen == value)
                    return 0;
                value = seen;
            }
        }
    }

    /// <summary>The owner has died, and the word says so: the first waiter becomes the owner and is told.</summary>
    public void PassLockOfDead(GuestThread thread, ulong address)
    {
        if (TryGetKey(thread, address, isPrivate: false, out FutexKey key) != 0)
            return;
        VirtualAddress word = new(address);
        Bucket bucket = _buckets[IndexOf(key)];
        lock (bucket.Lock)
        {
            if (!thread.Memory.TryLoad(word, out uint value))
                return;
            while ((value & FUTEX_TID_MASK) == 0)
            {
                if (!TryPass(thread.Memory, word, bucket, key, value, FUTEX_OWNER_DIED, out uint seen) || seen == value)
                    return;
                value = seen;
            }
        }
    }

    /// <summary>Gives the word to the first waiter, or to nobody. False is EFAULT; nothing changed unless seen == value.</summary>
    private static bool TryPass(
        AddressSpace memory, VirtualAddress word, Bucket bucket, in FutexKey key, uint value, uint mark, out uint seen)
    {
        FutexWaiter? next = null;
        bool more = false;
        for (FutexWaiter? waiter = bucket.First; waiter is not null && !more; waiter = waiter.Next)
        {
            if (!waiter.WantsLock || !Same(waiter.Key, key))
                continue;
            more = next is not null;
            next ??= waiter;
        }
        uint passed = next is null ? mark : (uint)next.Thread.Tid | mark | (more ? FUTEX_WAITERS : 0);
        if (!memory.TryCompareExchange(word, value, passed, out seen))
            return false;
        if (seen != value || next is null)
            return true;
        bucket.Remove(next);
        GuestThread owner = next.Thread;
        next.Bucket = -1;
        owner.Parker.Unpark();
        return true;
    }
}
