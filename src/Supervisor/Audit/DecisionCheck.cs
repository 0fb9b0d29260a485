using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.Audit;

/// <summary>
/// What a VMM may say about decisions. It may have fallen to its guest: every message is checked, and what it claims
/// is decided again by the rules that it was given.
/// </summary>
sealed class DecisionCheck
{
    const int MaximumErrno = 4095;

    readonly IReadOnlyList<IRule> _pathRuleList;
    readonly IReadOnlyList<IRule> _callRuleList;
    readonly PathRules? _paths;
    readonly SystemCallRules? _calls;
    ulong _sequence;

    /// <param name="pathRules">What the indexes of the plan's path rules stand for.</param>
    /// <param name="callRules">What those of its system-call rules stand for.</param>
    public DecisionCheck(LaunchPlan plan, IReadOnlyList<IRule> pathRules, IReadOnlyList<IRule> callRules)
    {
        _pathRuleList = pathRules;
        _callRuleList = callRules;
        _paths = plan.PathRules is PathTables paths ? new PathRules(paths) : null;
        _calls = plan.SystemCallRules is SystemCallTables calls ? new SystemCallRules(calls) : null;
    }

    /// <summary>Whether the VMM has said that nothing follows.</summary>
    public bool HasEnded { get; private set; }

    /// <summary>The rule that a message names.</summary>
    /// <param name="message">Checked.</param>
    public IRule? RuleOf(in DecisionMessage message)
    {
        if (message.Rule == Verdict.NoRule)
            return null;
        return (message.Kind == DecisionKind.SystemCall ? _callRuleList : _pathRuleList)[message.Rule];
    }

    /// <returns>What is wrong with the message, for a sentence that begins with "it"; null when nothing is.</returns>
    public string? Fault(in DecisionMessage message)
    {
        if (message.Version != DecisionMessage.CurrentVersion)
            return $"sent a record of version {message.Version} instead of {DecisionMessage.CurrentVersion}";
        if (HasEnded)
            return "sent a record after the last one";
        if (message.Sequence != _sequence + 1)
            return $"sent record {message.Sequence} where {_sequence + 1} was due";
        _sequence++;
        bool good = message.Kind switch
        {
            DecisionKind.Path or DecisionKind.Look => IsGoodPath(message),
            DecisionKind.Move => IsGoodMove(message),
            DecisionKind.SystemCall => IsGoodCall(message),
            DecisionKind.Dropped => message.Count > 0 && message.Length == 0,
            DecisionKind.End => message.Count == 0 && message.Length == 0,
            _ => false,
        };
        HasEnded = message.Kind == DecisionKind.End;
        if (!good)
            return $"sent a record that makes no sense ({(uint)message.Kind})";
        return Contradicts(message) ? "sent a record that contradicts the policy" : null;
    }

    static ReadOnlySpan<byte> Request(in DecisionMessage message) =>
        ((ReadOnlySpan<byte>)message.Request)[..(int)message.Length];

    static bool IsDecision(in DecisionMessage message, int rules) =>
        message.Length <= DecisionMessage.RequestBytes && message.Truncated <= 1 && message.Count == 0
        && message.Process >= 0 && message.Nanoseconds >= 0
        && message.Result is >= DecisionMessage.Killed and <= MaximumErrno
        && message.Rule >= Verdict.NoRule && message.Rule < rules;

    bool IsGoodPath(in DecisionMessage message) =>
        _paths is not null && IsDecision(message, _pathRuleList.Count) && message.Result != DecisionMessage.Killed
        && (message.Kind == DecisionKind.Look
            ? message.Access == PathAccess.None
            : (message.Access & ~PathAccess.All) == 0 && System.Numerics.BitOperations.IsPow2((int)message.Access))
        && IsPath(Request(message), message.Truncated != 0);

    bool IsGoodMove(in DecisionMessage message)
    {
        if (_paths is null
            || !IsDecision(message, 0)
            || message.Result == DecisionMessage.Killed
            || message.Access != 0)
            return false;
        ReadOnlySpan<byte> request = Request(message);
        int end = request.IndexOf((byte)0);
        return end >= 0
            && IsPath(request[..end], message.Truncated != 0)
            && IsPath(request[(end + 1)..], message.Truncated != 0);
    }

    bool IsGoodCall(in DecisionMessage message) =>
        _calls is not null && IsDecision(message, _callRuleList.Count) && message.Access == 0 && message.Truncated == 0
        && message.Length == 7 * sizeof(ulong)
        && BinaryPrimitives.ReadUInt64LittleEndian(Request(message)) <= uint.MaxValue;

    // The end of a path that is too long need not begin with a slash.
    static bool IsPath(ReadOnlySpan<byte> path, bool isCut) =>
        !path.Contains((byte)0) && (isCut || (path.Length > 0 && path[0] == (byte)'/'));

    bool Contradicts(in DecisionMessage message)
    {
        if (message.Kind == DecisionKind.SystemCall)
        {
            ReadOnlySpan<ulong> values = MemoryMarshal.Cast<byte, ulong>(Request(message));
            SystemCallVerdict call = _calls!.Decide((uint)values[0], values[1..]);
            int result = call.Allowed ? 0 : call.Answer == SystemCallTables.Kill ? DecisionMessage.Killed : call.Answer;
            return result != message.Result || call.Rule != message.Rule;
        }

        if (message.Kind is not (DecisionKind.Path or DecisionKind.Look) || message.Truncated != 0)
            return false;
        // A read-only mount refuses whatever the rules say.
        if (message is { Kind: DecisionKind.Path, Result: Libc.EROFS })
            return false;
        if (message.Kind == DecisionKind.Look)
            return _paths!.Allowed(Request(message)) == PathAccess.None == (message.Result == 0);
        return _paths!.Decide(Request(message), message.Access) != new Verdict(message.Result == 0, message.Rule);
    }
}
