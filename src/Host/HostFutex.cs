using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>
/// Sleeping on a word of this process's memory: futex(2), FUTEX_PRIVATE_FLAG. Wake-ups may be spurious: callers check
/// their condition again. A word in the managed heap is pinned while a thread waits on it.
/// </summary>
public static unsafe class HostFutex
{
    /// <summary>Waits while the word has the expected value.</summary>
    public static void Wait(ref int word, int expected) => WaitUntil(ref word, expected, long.MaxValue);

    /// <summary>Waits at most so many nanoseconds while the word has the expected value.</summary>
    /// <returns>False when the time passed.</returns>
    public static bool WaitFor(ref int word, int expected, long nanoseconds)
    {
        fixed (int* address = &word)
        {
            var time = HostClock.ToTimespec(nanoseconds);
            return Sleep(address, FUTEX_WAIT_PRIVATE, expected, &time, 0);
        }
    }

    /// <summary>Waits until a CLOCK_MONOTONIC deadline, long.MaxValue for none.</summary>
    /// <returns>False when the deadline passed.</returns>
    public static bool WaitUntil(ref int word, int expected, long deadlineNanoseconds)
    {
        fixed (int* address = &word)
            return WaitUntil(address, expected, deadlineNanoseconds);
    }

    /// <summary>Waits until a CLOCK_MONOTONIC deadline, long.MaxValue for none; the word does not move.</summary>
    /// <returns>False when the deadline passed.</returns>
    public static bool WaitUntil(int* word, int expected, long deadlineNanoseconds)
    {
        var time = HostClock.ToTimespec(deadlineNanoseconds);
        var timeout = deadlineNanoseconds == long.MaxValue ? null : &time;
        return Sleep(word, FUTEX_WAIT_BITSET_PRIVATE, expected, timeout, FUTEX_BITSET_MATCH_ANY);
    }

    /// <summary>Wakes up to so many waiters.</summary>
    /// <returns>How many were woken.</returns>
    public static int Wake(ref int word, int count)
    {
        fixed (int* address = &word)
            return Wake(address, count);
    }

    /// <summary>Wakes up to so many waiters of a word that does not move.</summary>
    /// <returns>How many were woken.</returns>
    public static int Wake(int* word, int count)
    {
        var woken = futex((uint*)word, FUTEX_WAKE_PRIVATE, (uint)count, null, null, 0);
        return woken >= 0 ? (int)woken : throw HostException.Last("futex", "FUTEX_WAKE");
    }

    private static bool Sleep(int* word, int op, int expected, timespec* timeout, uint bitset)
    {
        if (futex((uint*)word, op, (uint)expected, timeout, null, bitset) == 0)
            return true;
        return errno switch
        {
            ETIMEDOUT => false,
            // The value had changed already, or a signal came: both are for the caller's loop.
            EAGAIN or EINTR => true,
            _ => throw HostException.Last("futex", "FUTEX_WAIT"),
        };
    }
}
