using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Learning;
using Sandbox.Supervisor.Network;

namespace Sandbox.Supervisor.Audit;

/// <summary>Records what the broker decides about the network.</summary>
/// <param name="rules">What the indexes of verdicts stand for.</param>
/// <param name="learned">In a learning run; else null.</param>
sealed class NetworkRecorder(
    NetworkGrant grant, IReadOnlyList<NetworkRule> rules, IDecisionSink sink, ObservationCollector? learned)
        : INetworkDecisions
{
    public bool HasRoom => sink.HasRoom;

    public bool Decided(in NetworkQuestion question, Verdict verdict, long nanoseconds)
    {
        NetworkRule? rule = verdict.Rule == Verdict.NoRule ? null : rules[verdict.Rule];
        string result = verdict.Allowed ? "allowed" : $"denied {Host.Errno.Name(Host.Libc.EACCES)}";
        learned?.Take(verdict.Allowed, RequestOf(question, rule));
        return sink.Record(new DecisionRecord(
            RequestOf(question, null).ToString(), verdict.Allowed, result, rule, Process: 0, nanoseconds));
    }

    /// <param name="rule">
    /// Where it names the host that an address belongs to, so does the request; null for addresses only.
    /// </param>
    Request RequestOf(in NetworkQuestion question, NetworkRule? rule)
    {
        if (question.Action == NetworkAction.Resolve)
            return new Request.Resolve(question.Name!);
        if (question.Action == NetworkAction.Listen)
            return new Request.Listen(question.Protocol, question.Address!, question.Port);
        string host = $"{question.Address}";
        foreach (NetworkTarget target in rule?.Targets ?? [])
            if (target.Name is string name
                && grant.Pins.TryGetValue(name, out var addresses)
                && addresses.Contains(question.Address!))
                host = name;
        return new Request.Connect(question.Protocol, host, question.Address, question.Port);
    }
}
