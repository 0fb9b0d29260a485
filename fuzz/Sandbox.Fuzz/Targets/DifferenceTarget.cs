using System.Text;
using System.Text.Unicode;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Policy.Tests;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// The comparison of two policies, which come one behind the other as <see cref="PolicyScript"/> reads them. Every
/// request that is shown as a witness must be answered differently; compared the other way round the answer is the other
/// way round; and what an exact comparison does not list is answered alike, as far as requests near the rules can tell.
/// </summary>
sealed class DifferenceTarget : FuzzTarget
{
    const string Home = "/home/sandbox";

    public override string Name => "diff";

    public override string Summary => "two policies compared: witnesses, symmetry, nothing missed, against a slow evaluator";

    public override int MaximumLength => 4096;

    /// <summary>All that is allocated on the way, of which little is there at once.</summary>
    public override long AllocationLimit => 100 << 20;

    public override long OracleAllocation => _oracle;

    long _oracle;

    public override IReadOnlyList<byte[]> Dictionary { get; } = [.. PolicyScript.Words.Select(Encoding.UTF8.GetBytes)];

    public override IEnumerable<(string, byte[])> Seeds() => PolicyScript.Seeds.Select(seed => (seed.Name, Encoding.UTF8.GetBytes(seed.Text)));

    public override bool Run(ReadOnlySpan<byte> input)
    {
        _oracle = 0;
        if (!Utf8.IsValid(input))
            return false;
        string[] halves = Encoding.UTF8.GetString(input).Split("\n=\n", 2);
        if (halves.Length < 2 || PolicyScript.Read(halves[0]) is not CompiledPolicy old || PolicyScript.Read(halves[1]) is not CompiledPolicy @new)
            return false;
        PolicyComparison comparison = PolicyComparer.Compare(old, @new);
        long before = GC.GetAllocatedBytesForCurrentThread();
        CheckSymmetry(old, @new, comparison);
        CheckSelf(old);
        if (RequestsNearRules.AreFew(old.Model) && RequestsNearRules.AreFew(@new.Model))
        {
            CheckWitnesses(old, @new, comparison);
            if (comparison.IsExact)
                CheckNothingIsMissed(old, @new, comparison);
        }

        _oracle = GC.GetAllocatedBytesForCurrentThread() - before;
        return true;
    }

    static void CheckSelf(CompiledPolicy policy)
    {
        PolicyComparison comparison = PolicyComparer.Compare(policy, policy);
        OracleException.Check(comparison.Differences.Count == 0, "a policy differs from itself");
    }

    static void CheckSymmetry(CompiledPolicy old, CompiledPolicy @new, PolicyComparison comparison)
    {
        PolicyComparison reverse = PolicyComparer.Compare(@new, old);
        OracleException.Check(comparison.IsExact == reverse.IsExact, "exact one way round only");
        static int Count(PolicyComparison one, Change change) => one.Differences.Count(difference => difference.Change == change);
        OracleException.Check(
            Count(comparison, Change.Allowed) == Count(reverse, Change.Denied) && Count(comparison, Change.Denied) == Count(reverse, Change.Allowed)
            && Count(comparison, Change.Different) == Count(reverse, Change.Different), "the other way round other differences are found");
    }

    static void CheckWitnesses(CompiledPolicy old, CompiledPolicy @new, PolicyComparison comparison)
    {
        foreach (Difference difference in comparison.Differences)
        {
            if (NamedWitness.Of(difference) is NamedWitness named)
            {
                OracleException.Check(named.IsReal(old, @new), "no witness: a name");
                continue;
            }

            // Names that are no text are shown with a sign in their place.
            if (difference.Witness.Contains('\ufffd', StringComparison.Ordinal)
                || Request.TryParse(difference.Witness, Home, out _) is not Request request || request is Request.Device)
                continue;
            if (Reference(old, request) is not Verdict before || Reference(@new, request) is not Verdict after)
                continue;
            OracleException.Check(
                before.Allowed != after.Allowed && after.Allowed == (difference.Change == Change.Allowed), $"no witness: a {request.GetType().Name}");
        }
    }

    static void CheckNothingIsMissed(CompiledPolicy old, CompiledPolicy @new, PolicyComparison comparison)
    {
        var found = comparison.Differences.Select(difference => (difference.Change, difference.OldRule, difference.NewRule)).ToHashSet();
        foreach (Request request in RequestsNearRules.Of(old.Model, @new.Model, Home))
        {
            Verdict before = Reference(old, request)!.Value, after = Reference(@new, request)!.Value;
            if (before.Allowed != after.Allowed)
                OracleException.Check(
                    found.Contains((after.Allowed ? Change.Allowed : Change.Denied, Span(old, request, before), Span(@new, request, after))),
                    $"a difference is not found: a {request.GetType().Name}");
        }
    }

    static SourceSpan? Span(CompiledPolicy policy, Request request, Verdict verdict)
    {
        if (verdict.Rule < 0)
            return null;
        return request switch
        {
            Request.Open => policy.PathRuleList[verdict.Rule].Span,
            Request.SystemCall => policy.Model.SystemCallRules[verdict.Rule].Span,
            _ => policy.Model.NetworkRules[verdict.Rule].Span,
        };
    }

    /// <summary>Null for what the slow evaluator does not know: hosts by name.</summary>
    static Verdict? Reference(CompiledPolicy policy, Request request)
    {
        switch (request)
        {
            case Request.Open open:
                return ReferenceEvaluator.Path(policy.Model, CompiledPolicy.UserOf(policy.Model).Home, open.Path, open.Access);
            case Request.Connect { Address: not null } connect:
                return ReferenceEvaluator.Address(policy.Model, NetworkAction.Connect, connect.Protocol, connect.Address, connect.Port, []);
            case Request.Listen listen:
                return ReferenceEvaluator.Address(policy.Model, NetworkAction.Listen, listen.Protocol, listen.Address, listen.Port, []);
            case Request.Resolve resolve:
                return ReferenceEvaluator.Resolve(policy.Model, resolve.Name);
            case Request.SystemCall call:
                ulong[] arguments = new ulong[6];
                call.Arguments.ToArray().CopyTo(arguments, 0);
                SystemCallVerdict verdict = ReferenceEvaluator.SystemCall(policy.Model, (uint)call.Number, arguments);
                return new Verdict(verdict.Allowed, verdict.Rule);
            default:
                return null;
        }
    }
}
