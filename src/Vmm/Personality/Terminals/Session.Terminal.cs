using Sandbox.Vmm.Personality.Terminals;

namespace Sandbox.Vmm.Personality;

public sealed partial class Session
{
    /// <summary>The controlling terminal, or null. Guarded by TaskLock.</summary>
    public Terminal? Terminal { get; internal set; }

    partial void OnLeaderExit() => Terminal?.Disown(hangUp: true);
}
