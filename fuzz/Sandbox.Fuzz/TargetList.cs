using Sandbox.Fuzz.Targets;
using Sandbox.Fuzz.Targets.Virtio;

namespace Sandbox.Fuzz;

/// <summary>All targets.</summary>
static class TargetList
{
    private static readonly Dictionary<string, Func<FuzzTarget>> Makers = new()
    {
        ["elf"] = static () => new ElfTarget(),
        ["policy"] = static () => new PolicyTarget(),
        ["pattern"] = static () => new PatternTarget(),
        ["log"] = static () => new LogTarget(),
        ["diff"] = static () => new DifferenceTarget(),
        ["path"] = static () => new PathTarget(),
        ["syscalls"] = static () => new SystemCallTarget(),
        ["memory"] = static () => new MemoryTarget(),
        ["signals"] = static () => new SignalTarget(),
        ["terminal"] = static () => new TerminalTarget(),
        ["plan"] = static () => new PlanTarget(),
        ["cgroup"] = static () => new CgroupTarget(),
        ["state"] = static () => new StateTarget(),
        ["facts"] = static () => new FactsTarget(),
        ["channel"] = static () => new ChannelTarget(),
        ["broker"] = static () => new BrokerTarget(),
        ["dns"] = static () => new DnsTarget(),
        ["kernel"] = static () => new KernelTarget(),
        ["module"] = static () => new ModuleTarget(),
        ["agent"] = static () => new AgentTarget(),
        ["serial"] = static () => new SerialTarget(),
        ["decisions"] = static () => new DecisionTarget(),
        ["virtqueue"] = static () => new VirtqueueTarget(),
        ["virtio"] = static () => new TransportTarget(),
        ["virtio-devices"] = static () => new DeviceTarget(),
        ["self-test"] = static () => new SelfTestTarget(),
    };

    public static IEnumerable<string> Names => Makers.Keys;

    public static FuzzTarget? Create(string name) => Makers.TryGetValue(name, out Func<FuzzTarget>? make) ? make() : null;
}
