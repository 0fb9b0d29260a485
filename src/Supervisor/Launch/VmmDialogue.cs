using Sandbox.Policy.Contract;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// What a VMM may say after Start, and when. It may have fallen to its guest: every message is checked, and what is
/// out of place ends the launch.
/// </summary>
/// <param name="inspection">Whether it was ordered to wait until its jail has been looked at.</param>
sealed class VmmDialogue(LaunchPlan plan, bool inspection = false)
{
    /// <summary>A VMM that says more than a guest can cause in good faith has fallen.</summary>
    const int MaximumMessages = 10_000;

    int _messages;

    public bool GuestStarted { get; private set; }

    /// <summary>What it says that it has put on; null before it has said anything.</summary>
    public StartOrders? Reported { get; private set; }

    /// <param name="stopped">The guest's foreground job has stopped: suspend the command line too.</param>
    /// <returns>
    /// Null while the launch goes on; else <see cref="Outcome.Ended"/>, or <see cref="Outcome.VmmMisbehaved"/> for a
    /// VMM
    /// that must be killed.
    /// </returns>
    public Outcome? Hear(in ChannelMessage message, out bool stopped)
    {
        stopped = false;
        if (++_messages > MaximumMessages)
            return new Outcome.VmmMisbehaved("sent too many messages");
        if (message.Version != ChannelMessage.CurrentVersion)
            return new Outcome.VmmMisbehaved(
                $"speaks version {message.Version} of the channel instead of {ChannelMessage.CurrentVersion}");
        switch (message.Kind)
        {
            case MessageKind.Confined when inspection && Reported is null:
                Reported = (StartOrders)message.Detail32;
                return null;
            case MessageKind.Started when !GuestStarted && (!inspection || Reported is not null):
                GuestStarted = true;
                Reported = (StartOrders)message.Detail32;
                return null;
            case MessageKind.Stopped when GuestStarted && plan.Streams.Terminal:
                stopped = true;
                return null;
            case MessageKind.Ended:
                return new Outcome.Ended(message.Cause, message.Detail32, message.Value, message.Detail);
            default:
                return new Outcome.VmmMisbehaved($"sent a message out of place ({(uint)message.Kind})");
        }
    }
}
