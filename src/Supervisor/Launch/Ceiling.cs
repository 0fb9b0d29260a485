using Sandbox.Host;
using Sandbox.Policy.Language;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>The operator's ceiling: a policy that nothing which runs on this host may exceed.</summary>
static class Ceiling
{
    /// <summary>Where the operator keeps it. A folder that only root can write to, or it would be no ceiling.</summary>
    public const string File = "/etc/sandbox/ceiling.yaml";

    /// <exception cref="UsageException">The policy allows something that the ceiling does not; or cannot be compared.</exception>
    public static void Check(PolicyModel policy, string file = File)
    {
        // Not following: a link that leads nowhere is a ceiling that cannot be read.
        int error = FileDescriptor.TryOpen(file, O_PATH | O_NOFOLLOW, 0, out FileDescriptor? there);
        there?.Dispose();
        if (error is -ENOENT or -ENOTDIR)
            return;
        PolicyModel ceiling = PolicyOpener.Load(file);
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
