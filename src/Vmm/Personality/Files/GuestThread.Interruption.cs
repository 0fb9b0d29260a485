namespace Sandbox.Vmm.Personality;

public sealed partial class GuestThread
{
    /// <summary>Nothing delivers signals yet: signal delivery replaces this file.</summary>
    public bool HasPendingSignal => false;
}
