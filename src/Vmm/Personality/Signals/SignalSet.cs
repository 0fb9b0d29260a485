using System.Numerics;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Signals;

/// <summary>Signal sets as the kernel keeps them: bit n-1 is signal n, 64 signals.</summary>
public static class SignalSet
{
    public const int Count = 64;

    /// <summary>What the sigsetsize argument of every call must be.</summary>
    public const int Bytes = Count / 8;

    public static ulong Of(int signal) => 1UL << (signal - 1);

    public static bool Contains(ulong set, int signal) => (set & Of(signal)) != 0;

    /// <summary>SIGKILL and SIGSTOP: never blocked, caught or ignored.</summary>
    public static ulong Unblockable { get; } = Of(SIGKILL) | Of(SIGSTOP);

    /// <summary>Caused by the instruction that the thread was at; delivered before all others.</summary>
    public static ulong Synchronous { get; } =
        Of(SIGSEGV) | Of(SIGBUS) | Of(SIGILL) | Of(SIGTRAP) | Of(SIGFPE) | Of(SIGSYS);

    public static ulong Stops { get; } = Of(SIGSTOP) | Of(SIGTSTP) | Of(SIGTTIN) | Of(SIGTTOU);

    /// <summary>The signals whose default action is to do nothing.</summary>
    public static ulong IgnoredByDefault { get; } = Of(SIGCHLD) | Of(SIGCONT) | Of(SIGURG) | Of(SIGWINCH);

    public static bool IsValid(int signal) => signal is >= 1 and <= Count;

    public static bool IsRealTime(int signal) => signal >= SIGRTMIN;

    /// <summary>The signal to deliver first, or 0: synchronous ones, then the lowest number.</summary>
    public static int First(ulong set)
    {
        if ((set & Synchronous) != 0)
            set &= Synchronous;
        return set == 0 ? 0 : BitOperations.TrailingZeroCount(set) + 1;
    }
}
