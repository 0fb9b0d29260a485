namespace Sandbox.Supervisor.LifeCycle;

/// <summary>What can be done to a guest that runs. Each answers 0 or a negative error number.</summary>
interface IControlledGuest
{
    /// <param name="signal">1 to 64.</param>
    int Signal(int signal);

    int Kill();

    int Pause();

    int Resume();

    /// <summary>Has what was counted of it put into its folder; -EINPROGRESS when that takes a moment.</summary>
    int Count();

    /// <summary>Has it asked to give back memory, or told that it may take it again.</summary>
    /// <param name="bytes">What it is to have given back: not negative.</param>
    int SetBalloon(long bytes);
}
