using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>One thing that a policy exposes.</summary>
/// <param name="Badness">0 (nothing) to 10 (all of it).</param>
/// <param name="Weight">How much it counts.</param>
public sealed record ExposureItem(string Name, string Description, int Badness, int Weight);

/// <summary>
/// How much a policy leaves open, from 0 to 100: the weighted mean of its items, as systemd-analyze security computes
/// it. It compares policies with one another. It says nothing about bugs, about what the shown files hold, or about
/// whether the program needs what it is given; a high score is no vulnerability and a low one no proof.
/// </summary>
public sealed record Exposure(int Score, IReadOnlyList<ExposureItem> Items)
{
    public const string Caveat =
        "The score compares policies; it says nothing about bugs or about what the shown files hold.";

    public static Exposure Of(CompiledPolicy policy)
    {
        PolicyModel model = policy.Model;
        ExposureItem[] items =
        [
            new("network", "the guest connects to the network", Network(policy), 25),
            new("listening", "the guest listens on the network",
                model.NetworkRules.Any(rule => rule.Allow && rule.Action == NetworkAction.Listen) ? 10 : 0, 5),
            new("host-writes", "the guest changes host files", HostWrites(model), 20),
            new("host-files", "host files beyond the system folders are shown", HostFiles(model), 10),
            new("write-execute", "the guest runs what it writes", WriteExecute(policy), 5),
            new("command-line", "flags give more than the policy says",
                Math.Min(10, 2 * model.Freedoms.Count + (model.Allows(Freedom.MountWritable) ? 2 : 0)), 10),
            new("platform", "a weaker wall than KVM is allowed",
                model.Platforms.Any(platform => platform.Value != "kvm") ? 10 : 0, 10),
            new("walls", "walls that are not required", 10 * (Walls.Names.Length - model.Isolation.Select(
                wall => wall.Value).Distinct().Count()) / Walls.Names.Length, 10),
            new("limits", "resources without a limit", Math.Min(10, 3 * Enum.GetValues<Resource>().Count(resource =>
                resource is not (Resource.Cpus or Resource.TmpSize)
                    && model.Limit(resource)?.Value is null or Resources.Unlimited)), 10),
            new("system-calls", "calls that are served", SystemCalls(policy), 5),
            new("environment", "variables of the caller are passed on",
                Math.Min(10, 2 * model.Environment.Count(variable => variable.Value.Value is null)), 5),
            new("super-user", "the guest's user is its root", CompiledPolicy.UserOf(model).Uid == 0 ? 10 : 0, 5),
            new("audit", "nothing is recorded", model.Audit is null ? 10 : 0, 5),
        ];
        int weight = items.Sum(item => item.Weight);
        int badness = items.Sum(item => item.Badness * item.Weight);
        return new Exposure(
            (badness * 10 + weight - 1) / weight, [.. items.OrderByDescending(item => item.Badness * item.Weight)]);
    }

    static int Network(CompiledPolicy policy)
    {
        NetworkRule[] rules =
            [.. policy.Model.NetworkRules.Where(rule => rule.Allow && rule.Action == NetworkAction.Connect)];
        if (rules.Length == 0)
            return 0;
        int widest = rules.SelectMany(rule => rule.Targets).Max(target => target.Name is not null ? 0
            : (target.Block.BaseAddress.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork ? 32 : 128)
                - target.Block.PrefixLength);
        return widest switch { 0 => 4, <= 8 => 6, <= 16 => 8, _ => 10 };
    }

    static int HostWrites(PolicyModel model)
    {
        ShownFile[] writable = [.. model.Shown.Where(shown => shown.Kind == ShownKind.Host
            && (shown.Access & (PathAccess.Write | PathAccess.Create | PathAccess.Delete)) != 0)];
        return Math.Min(10, 5 * writable.Length);
    }

    static int HostFiles(PolicyModel model)
    {
        string[] system = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc"];
        return Math.Min(10, 2 * model.Shown.Count(shown => shown.Kind == ShownKind.Host
            && !system.Any(folder => shown.Content != "/etc" && GuestPath.IsWithin(shown.Content!, folder))));
    }

    /// <summary>
    /// Some place where writing and executing are both allowed, or all of them when that is too much to look through.
    /// </summary>
    static int WriteExecute(CompiledPolicy policy)
    {
        // Each region is reported for all accesses, one after the other in their order.
        bool write = false, found = false;
        bool all = PathComparison.Compare(policy, policy, (decision, _, kind, _) =>
        {
            if (kind == nameof(PathAccess.Write))
                write = decision.Allowed;
            else if (kind == nameof(PathAccess.Execute))
                found |= write && decision.Allowed;
        });
        return found || !all ? 10 : 0;
    }

    static int SystemCalls(CompiledPolicy policy)
    {
        ulong[] none = new ulong[6];
        int served = Enumerable.Range(0, SystemCallTables.Limit)
            .Count(number => policy.SystemCalls.Decide((uint)number, none).Allowed);
        return (10 * served + SystemCallTables.Limit - 1) / SystemCallTables.Limit;
    }
}
