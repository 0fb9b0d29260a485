using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm;

/// <summary>
/// The seccomp filters, made at build time by sandbox-filters: one on all threads, and on each a narrower one of its
/// role. A filter holds for the thread and those that it starts, and nothing takes it off.
/// </summary>
static unsafe class ThreadFilter
{
    private static volatile bool s_isOn;

    private static readonly Lock s_lock = new();
    private static readonly ManualResetEventSlim s_allHaveRoles = new(true, spinCount: 0);
    private static int s_withoutRole;

    [ThreadStatic]
    private static ThreadRole t_role;

    /// <summary>Threads take roles.</summary>
    public static bool IsOn => s_isOn;

    /// <summary>Whether the calling thread has taken one, and with it a narrower filter than the one for all.</summary>
    public static bool HasRole => t_role != ThreadRole.None;

    /// <summary>Puts the filter for all threads on every thread of the process.</summary>
    /// <exception cref="HostException">The host has no seccomp filters, or a thread could not be reached.</exception>
    public static void PutOnEveryThread(GuestNeeds needs)
    {
        PutOn(Of(needs), SECCOMP_FILTER_FLAG_TSYNC);
        s_isOn = true;
    }

    /// <summary>
    /// Puts the filter of a role on the calling thread, once there is one for all threads. A thread that was started by
    /// one with a role has that role's filter already, and stays with it.
    /// </summary>
    /// <exception cref="HostException">The host has no memory left for it.</exception>
    public static void Take(ThreadRole role)
    {
        if (!s_isOn || t_role != ThreadRole.None)
            return;
        PutOn(Of(role), 0);
        t_role = role;
    }

    /// <summary>Starts a thread that takes its role, or has that of its starter, before it works.</summary>
    /// <param name="name">Not for one whose starter has a role: by then no call gives names.</param>
    /// <exception cref="HostException">The host gives no more threads.</exception>
    public static WorkThread Start(string name, ThreadRole role, int stackBytes, Action work)
    {
        ThreadRole inherited = t_role;
        Count(1);
        try
        {
            return WorkThread.Start(inherited == ThreadRole.None ? name : null, stackBytes, Run);
        }
        catch (HostException)
        {
            Count(-1);
            throw;
        }

        void Run()
        {
            t_role = inherited;
            Take(role);
            Count(-1);
            work();
        }
    }

    /// <summary>
    /// Waits until every thread that was started has its role. Who looks at the process after that finds a filter of a
    /// role on each of its threads, those included that are started later by threads with a role.
    /// </summary>
    public static void WaitForRoles() => s_allHaveRoles.Wait();

    private static void Count(int threads)
    {
        lock (s_lock)
        {
            s_withoutRole += threads;
            if (s_withoutRole == 0)
                s_allHaveRoles.Set();
            else
                s_allHaveRoles.Reset();
        }
    }

    /// <summary>
    /// The end of a thread whose filter has no call for one: stays until the process ends. Returns where no filter is on.
    /// </summary>
    public static void Stay()
    {
        if (s_isOn)
            Thread.Sleep(Timeout.Infinite);
    }

    private static ReadOnlySpan<byte> Of(GuestNeeds needs) => needs switch
    {
        GuestNeeds.None => NeedingNoneFilter.Bytes,
        GuestNeeds.Writing => NeedingWritingFilter.Bytes,
        GuestNeeds.Network => NeedingNetworkFilter.Bytes,
        GuestNeeds.All => NeedingAllFilter.Bytes,
        GuestNeeds.Machine => NeedingMachineFilter.Bytes,
        _ => throw new ArgumentOutOfRangeException(nameof(needs)),
    };

    private static ReadOnlySpan<byte> Of(ThreadRole role) => role switch
    {
        ThreadRole.Main => MainFilter.Bytes,
        ThreadRole.Channel => ChannelFilter.Bytes,
        ThreadRole.Guest => GuestFilter.Bytes,
        ThreadRole.Timers => TimersFilter.Bytes,
        ThreadRole.Streams => StreamsFilter.Bytes,
        ThreadRole.Finalizers => FinalizersFilter.Bytes,
        ThreadRole.Vcpu => VcpuFilter.Bytes,
        ThreadRole.Device => DeviceFilter.Bytes,
        ThreadRole.Errands => ErrandsFilter.Bytes,
        _ => throw new ArgumentOutOfRangeException(nameof(role)),
    };

    private static void PutOn(ReadOnlySpan<byte> program, uint flags)
    {
        sock_filter* filter = stackalloc sock_filter[program.Length / sizeof(sock_filter)];
        Span<sock_filter> instructions = new(filter, program.Length / sizeof(sock_filter));
        program.CopyTo(new Span<byte>(filter, program.Length));
        foreach (ref sock_filter instruction in instructions)
            if (instruction is { code: BPF_JMP | BPF_JEQ | BPF_K, k: FilterPlaceholder.OwnPid })
                instruction.k = (uint)Environment.ProcessId;
        sock_fprog whole = new() { len = (ushort)instructions.Length, filter = filter };
        int result = seccomp(SECCOMP_SET_MODE_FILTER, flags, &whole);
        if (result != 0)
            throw result < 0 ? HostException.Last("seccomp") : new HostException(ESRCH, "seccomp", $"thread {result}");
    }
}
