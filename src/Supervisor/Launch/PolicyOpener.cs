using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Planning;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>Reads policy files for the language, which opens nothing itself.</summary>
sealed class PolicyOpener : IPolicyFiles
{
    /// <summary>One byte more than the language takes, so that it sees that a file is too large.</summary>
    const int MaximumBytes = (1 << 20) + 1;

    public PolicyModel? Known(string name) => BuiltinModels.Of(name);

    public SourceText? Read(string name, out string problem) => Read(name, isGiven: false, out problem);

    public SourceText? ReadGiven(string name, out string problem) => Read(name, isGiven: true, out problem);

    static SourceText? Read(string name, bool isGiven, out string problem)
    {
        problem = "";
        if (name.StartsWith(BuiltinPolicies.Prefix, StringComparison.Ordinal))
        {
            string file = name[BuiltinPolicies.Prefix.Length..];
            SourceText? builtin = BuiltinPolicies.Read(file);
            problem = builtin is null ? BuiltinPolicies.Missing(file) : "";
            return builtin;
        }

        // Not blocking: a pipe with a name that nobody writes to is no policy. One that the caller gave is waited for.
        // What a file says is not the caller's word: there the names of his descriptors are links of /proc like others.
        const int flags = O_RDONLY | O_NOCTTY | O_NONBLOCK;
        int error = isGiven
            ? CallerFile.TryOpen(name, flags, 0, out FileDescriptor? opened)
            : FileDescriptor.TryOpen(name, flags, 0, out opened);
        if (error != 0)
        {
            problem = $"cannot be read: {CallerFile.Why(error)}";
            return null;
        }

        using (opened)
            return Read(name, opened!, out problem);
    }

    /// <summary>What an open file holds, up to the bound.</summary>
    public static SourceText? Read(string name, FileDescriptor file, out string problem)
    {
        problem = "";
        byte[] buffer = new byte[4096];
        int length = 0;
        while (length < MaximumBytes)
        {
            if (length == buffer.Length)
                Array.Resize(ref buffer, Math.Min(2 * length, MaximumBytes));
            nint count = file.Read(buffer.AsSpan(length));
            if (count == -EINTR)
                continue;
            if (count < 0)
            {
                problem = $"cannot be read: {Errno.Describe((int)-count)}";
                return null;
            }

            if (count == 0)
                break;
            length += (int)count;
        }

        ReadOnlySpan<byte> bytes = buffer.AsSpan(0, length);
        // What a bound has cut need not be whole.
        if (length < MaximumBytes && !System.Text.Unicode.Utf8.IsValid(bytes))
        {
            problem = "is not UTF-8 text";
            return null;
        }

        return new SourceText(name, System.Text.Encoding.UTF8.GetString(bytes));
    }

    /// <summary>The policy for a run, in one piece.</summary>
    /// <param name="file">Null for the built-in default, which was read when this program was built.</param>
    /// <exception cref="UsageException">It cannot be read or is wrong; the message names the first mistake.</exception>
    public static PolicyModel Load(string? file)
    {
        if (file is null)
            return BuiltinModels.Default;
        var opener = new PolicyOpener();
        SourceText source = opener.ReadGiven(file, out string problem)
            ?? throw new UsageException($"--policy: {Quote.Value(file)} {problem}");
        return Load(source, opener);
    }

    /// <summary>A policy whose own text has been read.</summary>
    /// <exception cref="UsageException">It is wrong; the message names the first mistake.</exception>
    public static PolicyModel Load(SourceText source, IPolicyFiles files)
    {
        var diagnostics = new Diagnostics();
        PolicyModel? model = PolicyLoader.Load(source, files, diagnostics);
        if (model is not null)
            return model;
        Diagnostic first = diagnostics.List.First(found => found.Kind.Severity == Severity.Error);
        string advice = first.Advice is null ? "" : $"; {first.Advice}";
        throw new UsageException($"{first.Span}: {first.Message}{advice} (see sandbox policy check {source.Name})");
    }

    /// <summary>
    /// What a policy shows of the host, as mounts to open. What the built-in ones show is known, and opened without
    /// the questions that other folders are asked.
    /// </summary>
    public static IEnumerable<(ShownFile Shown, MountArgument Mount)> Mounts(
        PolicyModel policy, string home, IHostTree host)
    {
        foreach (ShownFile shown in policy.Shown)
        {
            if (shown.Kind != ShownKind.Host
                || shown.Span.Text.Name.StartsWith(BuiltinPolicies.Prefix, StringComparison.Ordinal))
                continue;
            if (shown.Optional && host.Follow(shown.Content!).Kind == HostEntryKind.Missing)
                continue;
            yield return (shown, new MountArgument(
                shown.Content!, CompiledPolicy.ExpandHome(shown.Path, home), PlanRules.IsWritable(policy, shown, home))
            {
                Origin = shown.Span.ToString(), Quota = shown.Quota ?? 0,
            });
        }
    }
}
