using Sandbox.Vmm.Personality.Trace;

namespace Sandbox.Vmm.Personality;

public sealed partial class GuestThread
{
    internal TraceLine? TraceLine { get; set; }

    /// <summary>Lines about signals that wait to be written outside TaskLock.</summary>
    internal string? TracedSignals { get; set; }
}
