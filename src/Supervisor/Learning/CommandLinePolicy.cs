using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;

namespace Sandbox.Supervisor.Learning;

/// <summary>A policy with what flags changed, as a policy of its own: it then needs no flags.</summary>
static class CommandLinePolicy
{
    const string Because = "given on the command line";

    public static PolicyModel With(PolicyModel policy, RunOptions options)
    {
        var span = new SourceSpan(policy.Source, 1, 1, 1);
        Sourced<ulong>?[] limits = [.. policy.Limits];
        void Limit(Resource resource, ulong? value)
        {
            if (value is ulong given)
                limits[(int)resource] = new Sourced<ulong>(given, span, Because);
        }

        Limit(Resource.Cpus, (ulong?)options.Cpus);
        Limit(Resource.Memory, options.Memory);
        Limit(Resource.Time, Bound(options.Timeout));
        Limit(Resource.CpuTime, Bound(options.CpuTime));
        Limit(Resource.Processes, (ulong?)options.Processes);
        Limit(Resource.Output, (ulong?)options.OutputLimit);
        Limit(Resource.TmpSize, options.TmpSize);
        string[] passed = [.. options.Environment.Select(variable => variable.Key)];
        return policy with
        {
            Limits = limits,
            User = options.User is null ? policy.User : new Sourced<string>(UserOf(options), span, Because),
            Hostname = options.Hostname is null
                ? policy.Hostname
                : new Sourced<string>(options.Hostname, span, Because),
            // Values may be secrets; names say enough.
            Environment =
            [
                .. policy.Environment.Where(variable => !passed.Contains(variable.Value.Name)),
                .. passed.Select(
                    name => new Sourced<EnvironmentVariable>(new EnvironmentVariable(name, null), span, Because)),
            ],
        };
    }

    /// <summary>On the command line 0 is "none".</summary>
    static ulong? Bound(long? milliseconds) => milliseconds == 0 ? Resources.Unlimited : (ulong?)milliseconds;

    static string UserOf(RunOptions options) =>
        UserText.TryParse(options.User!.Name, out Sandbox.Policy.Contract.GuestUser named, out _)
            && named == options.User
            ? options.User.Name
            : $"{options.User.Uid}:{options.User.Gid}";
}
