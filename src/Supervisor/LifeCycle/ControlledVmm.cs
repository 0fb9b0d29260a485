using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Launch;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>Carries out what is asked of a guest, through its VMM.</summary>
/// <param name="counts">Asks it what it has counted; null where it has nowhere to write that.</param>
/// <param name="balloonLimit">Bytes that the guest's balloon holds at most; null for a guest without one.</param>
/// <param name="recordPause">Writes down whether it stands still: 0 or a negative error number.</param>
sealed class ControlledVmm(
    VmmProcess vmm, SignalForwarder signals, CountQuestion? counts, ulong? balloonLimit,
    Func<bool, int> recordPause) : IControlledGuest
{
    public int Signal(int signal) => signals.Deliver(signal) ? 0 : -EAGAIN;

    /// <summary>Whether it was ended so.</summary>
    public bool HasKilled { get; private set; }

    public int Kill()
    {
        HasKilled = true;
        vmm.Signal(SIGKILL);
        return 0;
    }

    /// <remarks>
    /// By its control group, whole. Without one, or without a freezer there, the VMM is stopped by SIGSTOP: one
    /// process, whose filters let it start no other.
    /// </remarks>
    public int Pause()
    {
        if (signals.IsPaused)
            return 0;
        int error = vmm.Group?.Pause(Stop) ?? -ENODEV;
        if (error == -ENODEV)
        {
            Stop();
            error = 0;
        }

        signals.IsPaused = true;
        if (error == 0)
            error = recordPause(true);
        if (error != 0)
            LetGo();
        return error;
    }

    void Stop() => vmm.Signal(SIGSTOP);

    public int Resume()
    {
        if (!signals.IsPaused)
            return 0;
        LetGo();
        // It goes on, whether its record can be made to say so or not.
        _ = recordPause(false);
        return 0;
    }

    public int Count() => signals.IsPaused ? -EBUSY : counts?.Ask() ?? -ENODATA;

    /// <returns>
    /// 0 once the VMM has been told; -EOPNOTSUPP without a balloon, -ERANGE for more than it holds, -EBUSY during a
    /// pause, -EAGAIN while the VMM does not read.
    /// </returns>
    public int SetBalloon(long bytes)
    {
        if (balloonLimit is not ulong limit)
            return -EOPNOTSUPP;
        if ((ulong)bytes > limit)
            return -ERANGE;
        if (signals.IsPaused)
            return -EBUSY;
        return signals.Tell(new ChannelMessage { Kind = MessageKind.Balloon, Value = bytes }) ? 0 : -EAGAIN;
    }

    void LetGo()
    {
        signals.IsPaused = false;
        vmm.Group?.Resume();
        vmm.Signal(SIGCONT);
    }
}
