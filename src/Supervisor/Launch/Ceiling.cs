using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Planning;
using Sandbox.Supervisor.Trust;

namespace Sandbox.Supervisor.Launch;

/// <summary>The operator's ceiling: a policy that nothing which runs on this host may exceed.</summary>
static class Ceiling
{
    /// <summary>Where the operator keeps it.</summary>
    public const string File = "/etc/sandbox/ceiling.yaml";

    /// <param name="isLearning">
    /// The policy's rules refuse nothing in this run: what mounts allow must not exceed it.
    /// </param>
    /// <param name="owner">Who must own it, and every file that it extends.</param>
    /// <param name="user">Whom the command line names; null for the policy's.</param>
    /// <exception cref="UsageException">
    /// The policy allows something that the ceiling does not, or cannot be compared; or others could change the
    /// ceiling.
    /// </exception>
    public static void Check(
        PolicyModel policy, bool isLearning, string file = File, uint owner = OperatorFile.Root, GuestUser? user = null)
    {
        if (OperatorFile.Read(file, owner) is not SourceText source)
            return;
        PolicyModel ceiling = PolicyOpener.Load(source, new OperatorFiles(owner));
        string home = (user ?? CompiledPolicy.UserOf(policy)).Home;
        PolicyModel obeyed = isLearning
            ? LearningPolicy.Extent(policy, shown => PlanRules.IsWritable(policy, shown, home))
            : policy;
        PolicyComparison comparison =
            PolicyComparer.Compare(Compile(ceiling, user), Compile(obeyed, user));
        if (comparison.IsNoWider)
            return;
        Difference? beyond = comparison.Differences.FirstOrDefault(difference => difference.Change != Change.Denied);
        throw new UsageException(beyond is null
            ? $"the policy {policy.Source.Name} cannot be compared with this host's ceiling, {file}; simplify its rules"
            : $"this host's ceiling, {file}, does not allow what {(isLearning ? "a learning run" : "the policy")} "
                + $"gives{(beyond.NewRule is SourceSpan span ? $" at {span}" : "")}: {beyond.Witness}");
    }

    static CompiledPolicy Compile(PolicyModel model, GuestUser? user)
    {
        var diagnostics = new Diagnostics();
        return CompiledPolicy.Compile(model, (user ?? CompiledPolicy.UserOf(model)).Home, diagnostics)
            ?? throw new UsageException($"{diagnostics.List[0].Span}: {diagnostics.List[0].Message}");
    }
}
