using Sandbox.Policy.Language;
using Sandbox.Supervisor.Trust;

namespace Sandbox.Supervisor.Launch;

/// <summary>The operator's ceiling: a policy that nothing which runs on this host may exceed.</summary>
static class Ceiling
{
    /// <summary>Where the operator keeps it.</summary>
    public const string File = "/etc/sandbox/ceiling.yaml";

    /// <param name="owner">Who must own it.</param>
    /// <exception cref="UsageException">
    /// The policy allows something that the ceiling does not, or cannot be compared; or others could change the ceiling.
    /// </exception>
    public static void Check(PolicyModel policy, string file = File, uint owner = OperatorFile.Root)
    {
        if (OperatorFile.Read(file, owner) is not SourceText source)
            return;
        PolicyModel ceiling = PolicyOpener.Load(source, new PolicyOpener());
        PolicyComparison comparison = PolicyComparer.Compare(Compile(ceiling), Compile(policy));
        if (comparison.IsNoWider)
            return;
        Difference? beyond = comparison.Differences.FirstOrDefault(difference => difference.Change != Change.Denied);
        throw new UsageException(beyond is null
            ? $"the policy {policy.Source.Name} cannot be compared with this host's ceiling, {file}; simplify its rules"
            : $"this host's ceiling, {file}, does not allow what the policy gives{(beyond.NewRule is SourceSpan span ? $" at {span}" : "")}: {beyond.Witness}");
    }

    static CompiledPolicy Compile(PolicyModel model)
    {
        var diagnostics = new Diagnostics();
        return CompiledPolicy.Compile(model, CompiledPolicy.UserOf(model).Home, diagnostics)
            ?? throw new UsageException($"{diagnostics.List[0].Span}: {diagnostics.List[0].Message}");
    }
}
