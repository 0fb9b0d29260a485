using Sandbox.Vmm;

namespace Sandbox.Filters;

/// <summary>
/// Every system call that a VMM makes once it has its plan, with the reason, one row a reason. What no row allows ends
/// the VMM. A row's roles are the threads that keep it; every row holds for a thread that has not taken its role yet.
/// </summary>
static partial class RuleTable
{
    private const ThreadRole Every = ThreadRole.All, None = ThreadRole.None, Main = ThreadRole.Main;
    private const ThreadRole Channel = ThreadRole.Channel, Guest = ThreadRole.Guest, Streams = ThreadRole.Streams;
    private const ThreadRole Vcpu = ThreadRole.Vcpu, Device = ThreadRole.Device;
    private const ThreadRole Errands = ThreadRole.Errands;

    /// <summary>Threads that run handlers of the personality, for the guest or on an event's account.</summary>
    private const ThreadRole Personality = Channel | Guest | ThreadRole.Timers | Streams;

    public static IReadOnlyList<Rule> All =>
        [.. s_runtime, .. s_threads, .. s_speech, .. s_kvm, .. s_streams, .. s_network, .. s_files, .. s_changes, .. s_machine];
}
