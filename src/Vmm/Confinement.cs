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
    private readonly GuestNeeds? _needs;
    private static HostException? s_failure;
    private static bool s_isOn;

    private Confinement(FileDescriptor? ruleset, GuestNeeds? needs)
    {
        _ruleset = ruleset;
        _needs = needs;
    }

    /// <summary>Once, by the process's first thread.</summary>
    /// <param name="ruleset">Landlock's; null without.</param>
    /// <param name="needs">Which filter: null for none.</param>
    /// <exception cref="HostException">A thread could not be restricted: nothing may go on.</exception>
    public static void PutOn(FileDescriptor? ruleset, GuestNeeds? needs)
    {
        if (ruleset is null && needs is null)
            return;
        Restrict(ruleset);
        LeaveBehind(ruleset, needs);
        GC.Collect(0);
        GC.WaitForPendingFinalizers();
        if (s_failure is not null)
            throw s_failure;
        if (!s_isOn)
            throw new HostException(EPERM, "landlock_restrict_self", "the runtime's thread");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LeaveBehind(FileDescriptor? ruleset, GuestNeeds? needs) => _ = new Confinement(ruleset, needs);

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
            if (_needs is { } needs)
            {
                ThreadFilter.PutOnEveryThread(needs);
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
