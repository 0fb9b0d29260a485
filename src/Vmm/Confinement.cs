using System.Runtime.CompilerServices;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm;

/// <summary>The walls that come with a plan, put on by every thread before the plan is obeyed.</summary>
/// <remarks>
/// landlock_restrict_self(2) holds for the calling thread and those that it starts. One thread exists beside this one,
/// the runtime's own, and the only code of ours that it ever runs is a finalizer's. It comes last, and puts the filter
/// on for both: no filter lets a thread restrict itself.
/// </remarks>
sealed class Confinement
{
    private readonly FileDescriptor? _ruleset;
    private readonly bool? _writing;
    private static HostException? s_failure;
    private static bool s_isOn;

    private Confinement(FileDescriptor? ruleset, bool? writing)
    {
        _ruleset = ruleset;
        _writing = writing;
    }

    /// <summary>Once, by the process's first thread.</summary>
    /// <param name="ruleset">Landlock's; null without.</param>
    /// <param name="writing">Which filter: whether the guest may write a host file. Null for none.</param>
    /// <exception cref="HostException">A thread could not be restricted: nothing may go on.</exception>
    public static void PutOn(FileDescriptor? ruleset, bool? writing)
    {
        if (ruleset is null && writing is null)
            return;
        Restrict(ruleset);
        LeaveBehind(ruleset, writing);
        GC.Collect(0);
        GC.WaitForPendingFinalizers();
        if (s_failure is not null)
            throw s_failure;
        if (!s_isOn)
            throw new HostException(EPERM, "landlock_restrict_self", "the runtime's thread");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LeaveBehind(FileDescriptor? ruleset, bool? writing) => _ = new Confinement(ruleset, writing);

    private static void Restrict(FileDescriptor? ruleset)
    {
        if (ruleset is not null && landlock_restrict_self(ruleset.Value, 0) != 0)
            throw HostException.Last("landlock_restrict_self");
    }

    ~Confinement()
    {
        try
        {
            Restrict(_ruleset);
            if (_writing is { } writing)
            {
                ThreadFilter.PutOnEveryThread(writing);
                ThreadFilter.Take(ThreadRole.Finalizers);
            }
            s_isOn = true;
        }
        catch (HostException failure)
        {
            s_failure = failure;
        }
    }
}
