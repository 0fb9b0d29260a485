using System.Runtime.CompilerServices;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm;

/// <summary>The Landlock rules that come with a plan, put on by every thread before the plan is obeyed.</summary>
/// <remarks>
/// landlock_restrict_self(2) holds for the calling thread and those that it starts. One thread exists beside this one,
/// the runtime's own, and the only code of ours that it ever runs is a finalizer's.
/// </remarks>
sealed class Confinement
{
    private readonly int _ruleset;
    private static int s_error = -1;

    private Confinement(int ruleset) => _ruleset = ruleset;

    /// <exception cref="HostException">A thread could not be restricted: nothing may go on.</exception>
    public static void PutOn(FileDescriptor ruleset)
    {
        if (landlock_restrict_self(ruleset.Value, 0) != 0)
            throw HostException.Last("landlock_restrict_self");
        LeaveBehind(ruleset.Value);
        GC.Collect(0);
        GC.WaitForPendingFinalizers();
        if (s_error != 0)
            throw new HostException(Math.Max(s_error, EPERM), "landlock_restrict_self", "the runtime's thread");
        GC.KeepAlive(ruleset);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LeaveBehind(int ruleset) => _ = new Confinement(ruleset);

    ~Confinement() => s_error = landlock_restrict_self(_ruleset, 0) == 0 ? 0 : errno;
}
