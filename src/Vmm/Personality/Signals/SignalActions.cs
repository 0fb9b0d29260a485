using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Signals;

/// <summary>
/// What each signal does in a process: its handlers. Shared by processes made with CLONE_SIGHAND. Guarded by
/// <see cref="LinuxPersonality.TaskLock"/>.
/// </summary>
public sealed class SignalActions
{
    private readonly kernel_sigaction[] _actions;

    public SignalActions() => _actions = new kernel_sigaction[SignalSet.Count];

    private SignalActions(SignalActions other) => _actions = (kernel_sigaction[])other._actions.Clone();

    public ref kernel_sigaction this[int signal] => ref _actions[signal - 1];

    /// <summary>fork: the same handlers, in a table of their own.</summary>
    public SignalActions Copy() => new(this);

    /// <summary>execve, and CLONE_CLEAR_SIGHAND: handlers go, ignored signals stay ignored.</summary>
    public SignalActions CopyIgnored()
    {
        SignalActions copy = new();
        for (int signal = 1; signal <= SignalSet.Count; signal++)
        {
            if (this[signal].sa_handler == SIG_IGN)
                copy[signal].sa_handler = SIG_IGN;
        }
        return copy;
    }

    /// <summary>True when the signal would do nothing if it were not blocked.</summary>
    public bool IsIgnored(int signal)
    {
        ulong handler = this[signal].sa_handler;
        return handler == SIG_IGN || (handler == SIG_DFL && SignalSet.Contains(SignalSet.IgnoredByDefault, signal));
    }

    public bool HasHandler(int signal) => this[signal].sa_handler > SIG_IGN;
}
