using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Facts;

// What a thread may do: each has credentials and filters of its own.
sealed partial class JailComparison
{
    static readonly string[] s_sets = ["inheritable", "permitted", "effective", "bounding", "ambient"];

    void CompareCredentials()
    {
        Add(JailWalls.Capabilities, "capabilities", "none in any of the five sets", OnEveryThread(
            static (_, status) => CapabilitiesOf(status), static _ => "none"));
        Add(JailWalls.NoNewPrivileges, "no new privileges", "set", OnEveryThread(
            static (_, status) => status.NoNewPrivileges ? null : "not set", static _ => "set"));
        bool own = _expected.Wanted.HasFlag(JailWalls.OwnUser);
        Add(own ? JailWalls.OwnUser : JailWalls.None, own ? "a user of its own" : "user",
            $"{_expected.User}:{_expected.Group}{(own ? ", without other groups" : "")}", OnEveryThread(UserFault,
                static status => $"{status.Uids[0]}:{status.Gids[0]}"));
        Add(JailWalls.Seccomp, "seccomp filter",
            $"mode {SECCOMP_MODE_FILTER}, at least {_expected.Filters} on each thread",
            OnEveryThread(FilterFault, static status => $"mode {status.Seccomp}, {status.Filters} filters"));
        Add(JailWalls.Landlock, "Landlock", "put on by the VMM before it obeyed its plan", Reported(
            StartOrders.Landlock));
        if (_expected.HasDenyWriteExecute)
            Add(JailWalls.None, "memory deny-write-execute", "put on by the VMM before its plan came", Reported(
                StartOrders.DenyWriteExecute));
    }

    static string? CapabilitiesOf(ThreadStatus status)
    {
        string[] some = [.. s_sets.Zip(status.Capabilities).Where(set => set.Second != 0)
            .Select(set => $"{set.First} {set.Second:x}")];
        return some.Length == 0 ? null : string.Join(", ", some);
    }

    string? UserFault(ThreadFacts thread, ThreadStatus status)
    {
        if (status.Uids.Any(id => id != _expected.User) || status.Gids.Any(id => id != _expected.Group))
            return $"{string.Join('/', status.Uids.Distinct())}:{string.Join('/', status.Gids.Distinct())}";
        return status.Groups > 0 && _expected.Wanted.HasFlag(JailWalls.OwnUser)
            ? $"{status.Groups} other groups"
            : null;
    }

    // The kernel's workers run no instruction of the VMM's, and make no system call.
    string? FilterFault(ThreadFacts thread, ThreadStatus status)
    {
        if (thread.IsWorker)
            return null;
        if (status.Seccomp != SECCOMP_MODE_FILTER)
            return $"mode {status.Seccomp}";
        return status.Filters < _expected.Filters ? $"{status.Filters} filters" : null;
    }

    /// <summary>What the kernel shows to nobody else than the process itself.</summary>
    Finding Reported(StartOrders what)
    {
        const string unseen = "the kernel shows it to nobody";
        if (_expected.Reported is not StartOrders reported)
            return Finding.CannotBeRead(0) with { Advice = $"{unseen}, and the VMM has not said it yet" };
        Finding finding = reported.HasFlag(what)
            ? Finding.Holds("the VMM says so")
            : Finding.Missing("not put on");
        return finding with { Source = FactSource.Reported };
    }
}
