using System.Runtime.CompilerServices;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.SystemCalls;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Processes;

/// <summary>A thread's place in a futex queue; each thread owns one, since it waits for one word at a time.</summary>
sealed class FutexWaiter(GuestThread thread)
{
    public readonly GuestThread Thread = thread;
    public FutexKey Key;
    public uint Bits;
    /// <summary>Waits to own a priority-inheritance lock: only an unlock, not a plain wake-up, is for it.</summary>
    public bool WantsLock;
    /// <summary>The bucket it is queued in, or -1 when it has been woken. Changes only under that bucket's lock.</summary>
    public volatile int Bucket = -1;
    public FutexWaiter? Next, Previous;
}

/// <summary>
/// futex(2). The rule that no wake-up is lost: a waiter compares the word and enters the queue under the lock that a
/// waker takes after changing the word.
/// </summary>
sealed partial class FutexTable
{
    private const int BucketCount = 256;

    private readonly Bucket[] _buckets = new Bucket[BucketCount];

    private sealed class Bucket
    {
        public readonly Lock Lock = new();
        public FutexWaiter? First, Last;

        public void Append(FutexWaiter waiter)
        {
            waiter.Next = null;
            waiter.Previous = Last;
            if (Last is null)
                First = waiter;
            else
                Last.Next = waiter;
            Last = waiter;
        }

        public void Remove(FutexWaiter waiter)
        {
            if (waiter.Previous is null)
                First = waiter.Next;
            else
                waiter.Previous.Next = waiter.Next;
            if (waiter.Next is null)
                Last = waiter.Previous;
            else
                waiter.Next.Previous = waiter.Previous;
            waiter.Next = waiter.Previous = null;
        }
    }

    public FutexTable()
    {
        for (int i = 0; i < BucketCount; i++)
            _buckets[i] = new Bucket();
    }

    /// <summary>FUTEX_WAIT and FUTEX_WAIT_BITSET.</summary>
    /// <param name="deadline">CLOCK_MONOTONIC nanoseconds, or <see cref="Waiting.Parker.Forever"/>.</param>
    /// <returns>
    /// 0 when woken, -EAGAIN when the word differs, -ETIMEDOUT, <see cref="Restart.System"/> when a signal came.
    /// </returns>
    public long Wait(GuestThread thread, ulong address, bool isPrivate, uint expected, uint bits, long deadline)
    {
        long error = TryGetKey(thread, address, isPrivate, out FutexKey key);
        if (error != 0)
            return error;
        FutexWaiter waiter = thread.FutexWaiter;
        int index = IndexOf(key);
        Bucket bucket = _buckets[index];
        lock (bucket.Lock)
        {
            if (!thread.Memory.TryLoad(new VirtualAddress(address), out uint value))
                return -EFAULT;
            if (value != expected)
                return -EAGAIN;
            waiter.Key = key;
            waiter.Bits = bits;
            waiter.WantsLock = false;
            waiter.Bucket = index;
            bucket.Append(waiter);
        }
        while (true)
        {
            if (waiter.Bucket < 0)
                return Finish(waiter, 0);
            if (thread.MayWait() is var code and not 0)
                return Finish(waiter, Withdraw(waiter) ? code : 0);
            if (!thread.Parker.Park(deadline))
                return Finish(waiter, Withdraw(waiter) ? -ETIMEDOUT : 0);
        }
    }

    private static long Finish(FutexWaiter waiter, long result)
    {
        // The key would otherwise keep an address space alive.
        waiter.Key = default;
        return result;
    }

    /// <summary>Leaves the queue. False when a wake-up came first, which then counts.</summary>
    private bool Withdraw(FutexWaiter waiter)
    {
        while (true)
        {
            int index = waiter.Bucket;
            if (index < 0)
                return false;
            Bucket bucket = _buckets[index];
            lock (bucket.Lock)
            {
                if (waiter.Bucket != index)
                    continue;
                bucket.Remove(waiter);
                waiter.Bucket = -1;
                return true;
            }
        }
    }

    /// <summary>FUTEX_WAKE and FUTEX_WAKE_BITSET: how many were woken.</summary>
    public long Wake(GuestThread thread, ulong address, bool isPrivate, int count, uint bits)
    {
        long error = TryGetKey(thread, address, isPrivate, out FutexKey key);
        if (error != 0)
            return error;
        Bucket bucket = _buckets[IndexOf(key)];
        lock (bucket.Lock)
            return WakeLocked(bucket, key, count, bits);
    }

    private static int WakeLocked(Bucket bucket, in FutexKey key, int count, uint bits)
    {
        int woken = 0;
        for (FutexWaiter? waiter = bucket.First; waiter is not null && woken < count;)
        {
            FutexWaiter? next = waiter.Next;
            if (!waiter.WantsLock && (waiter.Bits & bits) != 0 && Same(waiter.Key, key))
            {
                bucket.Remove(waiter);
                GuestThread thread = waiter.Thread;
                waiter.Bucket = -1;
                thread.Parker.Unpark();
                woken++;
            }
            waiter = next;
        }
        return woken;
    }

    /// <summary>FUTEX_REQUEUE and FUTEX_CMP_REQUEUE: wakes some, moves others to another word.</summary>
    /// <param name="expected">Null for FUTEX_REQUEUE.</param>
    /// <returns>Woken plus moved.</returns>
    public long Requeue(
        GuestThread thread, ulong from, ulong to, bool isPrivate, int wakeCount, int moveCount, uint? expected)
    {
        if (wakeCount < 0 || moveCount < 0)
            return -EINVAL;
        long error = TryGetKey(thread, from, isPrivate, out FutexKey fromKey);
        if (error != 0)
            return error;
        error = TryGetKey(thread, to, isPrivate, out FutexKey target);
        if (error != 0)
            return error;
        int fromIndex = IndexOf(fromKey), toIndex = IndexOf(target);
        Bucket source = _buckets[fromIndex], destination = _buckets[toIndex];
        Bucket first = fromIndex <= toIndex ? source : destination;
        Bucket second = fromIndex <= toIndex ? destination : source;
        lock (first.Lock)
        {
            lock (second.Lock)
            {
                if (expected is { } value)
                {
                    if (!thread.Memory.TryLoad(new VirtualAddress(from), out uint seen))
                        return -EFAULT;
                    if (seen != value)
                        return -EAGAIN;
                }
                int woken = WakeLocked(source, fromKey, wakeCount, FUTEX_BITSET_MATCH_ANY);
                int moved = 0;
                if (Same(fromKey, target))
                    return woken;
                for (FutexWaiter? waiter = source.First; waiter is not null && moved < moveCount;)
                {
                    FutexWaiter? next = waiter.Next;
                    if (!waiter.WantsLock && Same(waiter.Key, fromKey))
                    {
                        source.Remove(waiter);
                        waiter.Key = target;
                        destination.Append(waiter);
                        waiter.Bucket = toIndex;
                        moved++;
                    }
                    waiter = next;
                }
                return woken + moved;
            }
        }
    }

    /// <summary>FUTEX_WAKE_OP: changes the second word atomically, wakes the first, and perhaps the second.</summary>
    public long WakeOperation(
        GuestThread thread, ulong address, ulong address2, bool isPrivate, int count, int count2, uint operation)
    {
        long error = TryGetKey(thread, address, isPrivate, out FutexKey key);
        if (error != 0)
            return error;
        error = TryGetKey(thread, address2, isPrivate, out FutexKey second);
        if (error != 0)
            return error;
        int index = IndexOf(key), index2 = IndexOf(second);
        Bucket low = _buckets[Math.Min(index, index2)], high = _buckets[Math.Max(index, index2)];
        lock (low.Lock)
        {
            lock (high.Lock)
            {
                long old = Operate(thread.Memory, address2, operation, out bool condition);
                if (old < 0)
                    return old;
                int woken = WakeLocked(_buckets[index], key, count, FUTEX_BITSET_MATCH_ANY);
                if (condition)
                    woken += WakeLocked(_buckets[index2], second, count2, FUTEX_BITSET_MATCH_ANY);
                return woken;
            }
        }
    }

    private static long Operate(AddressSpace memory, ulong address, uint operation, out bool condition)
    {
        condition = false;
        int argument = (int)(operation << 8) >> 20;
        int comparand = (int)(operation << 20) >> 20;
        uint kind = operation >> 28 & 7;
        if ((operation >> 28 & FUTEX_OP_OPARG_SHIFT) != 0)
            argument = 1 << (argument & 31);
        VirtualAddress word = new(address);
        if (!memory.TryLoad(word, out uint old))
            return -EFAULT;
        while (true)
        {
            uint value;
            switch (kind)
            {
                case FUTEX_OP_SET: value = (uint)argument; break;
                case FUTEX_OP_ADD: value = unchecked(old + (uint)argument); break;
                case FUTEX_OP_OR: value = old | (uint)argument; break;
                case FUTEX_OP_ANDN: value = old & ~(uint)argument; break;
                case FUTEX_OP_XOR: value = old ^ (uint)argument; break;
                default: return -ENOSYS;
            }
            if (!memory.TryCompareExchange(word, old, value, out uint seen))
                return -EFAULT;
            if (seen == old)
                break;
            old = seen;
        }
        int signed = (int)old;
        switch (operation >> 24 & 15)
        {
            case FUTEX_OP_CMP_EQ: condition = signed == comparand; break;
            case FUTEX_OP_CMP_NE: condition = signed != comparand; break;
            case FUTEX_OP_CMP_LT: condition = signed < comparand; break;
            case FUTEX_OP_CMP_GE: condition = signed >= comparand; break;
            case FUTEX_OP_CMP_LE: condition = signed <= comparand; break;
            case FUTEX_OP_CMP_GT: condition = signed > comparand; break;
            default: return -ENOSYS;
        }
        return 0;
    }

    /// <summary>Threads that wait now, in the whole guest.</summary>
    public int CountWaiters()
    {
        int count = 0;
        foreach (Bucket bucket in _buckets)
        {
            lock (bucket.Lock)
            {
                for (FutexWaiter? waiter = bucket.First; waiter is not null; waiter = waiter.Next)
                    count++;
            }
        }
        return count;
    }

    /// <summary>0, -EINVAL for an address that is not aligned, -EFAULT for one that is not mapped.</summary>
    private static long TryGetKey(GuestThread thread, ulong address, bool isPrivate, out FutexKey key)
    {
        key = default;
        if ((address & 3) != 0)
            return -EINVAL;
        return thread.Memory.TryGetFutexKey(new VirtualAddress(address), isPrivate, out key) ? 0 : -EFAULT;
    }

    private static int IndexOf(in FutexKey key)
    {
        uint hash = (uint)RuntimeHelpers.GetHashCode(key.Owner) * 0x9e3779b1 ^ (uint)(key.Offset >> 2) * 0x85ebca6b;
        return (int)(hash >> 24);
    }

    private static bool Same(in FutexKey a, in FutexKey b) => a.Offset == b.Offset && ReferenceEquals(a.Owner, b.Owner);
}
