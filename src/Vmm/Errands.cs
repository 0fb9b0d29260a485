using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm;

/// <summary>
/// Rare system calls of the threads that answer a guest, made for them by one thread, so that their filter need not have
/// them. A thread asks for one and sleeps until it is answered; pointers among the arguments stay valid that long. Others
/// wait their turn: only calls that return soon belong here.
/// </summary>
static class Errands
{
    private const int StackBytes = 64 << 10;

    private static readonly Lock s_lock = new();

    /// <summary>Who asks sets it to 1, the thread to 0; each waits for the other.</summary>
    private static int s_isAsked;

    private static Errand s_errand;
    private static long s_answer;
    private static long s_cost;

    [ThreadStatic]
    private static long t_cost;

    private readonly record struct Errand(int Number, nint A0, nint A1, nint A2, nint A3, nint A4)
    {
        public long Make()
        {
            long result = syscall(Number, A0, A1, A2, A3, A4);
            return result >= 0 ? result : -errno;
        }
    }

    /// <summary>Starts the thread, by one without a role. Who has asked before is answered then.</summary>
    /// <exception cref="HostException">The host gives no more threads.</exception>
    public static void Start() => ThreadFilter.Start("errands", ThreadRole.Errands, StackBytes, Work);

    /// <summary>Makes a system call: through the thread where the calling one has a role, itself otherwise.</summary>
    /// <returns>Its result, or a negative error number.</returns>
    public static long Call(int number, nint a0, nint a1 = 0, nint a2 = 0, nint a3 = 0, nint a4 = 0)
    {
        Errand errand = new(number, a0, a1, a2, a3, a4);
        return ThreadFilter.HasRole ? Ask(errand) : errand.Make();
    }

    /// <summary><see cref="Call"/> through the thread, whoever calls.</summary>
    internal static long Ask(int number, nint a0, nint a1 = 0, nint a2 = 0, nint a3 = 0, nint a4 = 0) =>
        Ask(new Errand(number, a0, a1, a2, a3, a4));

    /// <summary>CPU time that the thread has spent for the calling one since it was asked last, in nanoseconds.</summary>
    public static long TakeCost()
    {
        long cost = t_cost;
        if (cost != 0)
            t_cost = 0;
        return cost;
    }

    private static long Ask(in Errand errand)
    {
        lock (s_lock)
        {
            s_errand = errand;
            Volatile.Write(ref s_isAsked, 1);
            HostFutex.Wake(ref s_isAsked, 1);
            while (Volatile.Read(ref s_isAsked) != 0)
                HostFutex.Wait(ref s_isAsked, 1);
            t_cost += s_cost;
            return s_answer;
        }
    }

    private static void Work()
    {
        long cpu = HostClock.ThreadCpuNanoseconds();
        while (true)
        {
            while (Volatile.Read(ref s_isAsked) == 0)
                HostFutex.Wait(ref s_isAsked, 0);
            s_answer = s_errand.Make();
            // What it takes to wake up and to answer is in the next one's: never much, and never lost.
            long now = HostClock.ThreadCpuNanoseconds();
            (s_cost, cpu) = (now - cpu, now);
            Volatile.Write(ref s_isAsked, 0);
            HostFutex.Wake(ref s_isAsked, 1);
        }
    }
}
