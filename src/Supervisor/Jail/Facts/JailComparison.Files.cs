using Sandbox.Policy.Language;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Facts;

// What can be reached by path, and what is held without one.
sealed partial class JailComparison
{
    /// <summary>What a VMM makes itself, and how many of it; 0 for as many as it likes.</summary>
    static readonly (string Target, int Most)[] s_own =
    [
        ("anon_inode:kvm-vm", 1), ("anon_inode:kvm-vcpu:", 0), ("anon_inode:[eventpoll]", 0),
        ("anon_inode:[eventfd]", 0), ("anon_inode:[io_uring]", 0),
    ];

    static readonly string[] s_rootOptions = ["ro", "nosuid", "nodev", "noexec"];

    void CompareFiles()
    {
        Add(JailWalls.Root, "empty root", "one empty tmpfs, read-only, and nothing else mounted", Mounts());
        Add(JailWalls.Root, "root and working directory", "that root", Places());
        Add(JailWalls.None, "descriptors", "what the plan grants, what lies beneath it, and what a VMM makes",
            Descriptors());
    }

    Finding Mounts()
    {
        if (!_facts.Mounts.Is(out MountFacts[]? mounts))
            return Finding.CannotBeRead(_facts.Mounts.Errno);
        if (mounts is [{ Root: "/", Place: "/", Kind: "tmpfs" } only]
            && !s_rootOptions.Except(only.Options.Split(',')).Any())
            return Finding.Holds($"tmpfs {Quote.Value(only.Options)}");
        return Finding.Missing($"{mounts.Length} mounts: "
            + Finding.Some([.. mounts.Select(mount =>
                $"{Quote.Value(mount.Kind)} at {Quote.Value(mount.Place)} {Quote.Value(mount.Options)}")]));
    }

    Finding Places()
    {
        if (!_facts.Root.Is(out string? root))
            return Finding.CannotBeRead(_facts.Root.Errno);
        if (!_facts.WorkingDirectory.Is(out string? place))
            return Finding.CannotBeRead(_facts.WorkingDirectory.Errno);
        return root == "/" && place == "/"
            ? Finding.Holds("/")
            : Finding.Weaker($"root {Quote.Value(root)}, working directory {Quote.Value(place)}");
    }

    Finding Descriptors()
    {
        if (!_facts.Descriptors.Is(out DescriptorFacts[]? all))
            return TooMany(_facts.Descriptors.Errno, "descriptors");
        List<string> strange = [];
        int granted = 0, beneath = 0, own = 0, unread = 0;
        int[] made = new int[s_own.Length];
        foreach (DescriptorFacts one in all)
        {
            if (Granted(one) is ExpectedDescriptor grant)
            {
                _ = one.Mount == grant.Mount && one.Inode == grant.Inode ? granted++ : beneath++;
                if (!grant.Writable && one.IsWritable)
                    strange.Add($"{Describe(one)} open for writing");
            }
            else if (!one.Target.Is(out string? target))
                unread = one.Target.Errno;
            else if (Array.FindIndex(s_own, kind => IsKind(target, kind.Target)) is >= 0 and int kind
                && (s_own[kind].Most == 0 || made[kind] < s_own[kind].Most))
            {
                made[kind]++;
                own++;
            }
            else if (_expected.HasNetwork && target.StartsWith("socket:[", StringComparison.Ordinal))
                own++;
            else
                strange.Add(Describe(one));
        }

        if (strange.Count > 0)
            return Finding.Weaker(Finding.Some(strange));
        if (unread != 0)
            return Finding.CannotBeRead(unread);
        return Finding.Holds($"{all.Length}: {granted} granted, {beneath} beneath them, {own} of its own");
    }

    /// <summary>What of the plan allows a descriptor.</summary>
    ExpectedDescriptor? Granted(DescriptorFacts one)
    {
        ExpectedDescriptor? folder = null;
        foreach (ExpectedDescriptor grant in _expected.Descriptors)
        {
            if (one.Mount != grant.Mount || one.Mount == DescriptorFacts.Unknown)
                continue;
            if (one.Inode == grant.Inode && one.Inode != 0 && (grant.Writable || !one.IsWritable))
                return grant;
            if (grant.IsFolder && IsBeneath(one, grant) && (folder is null || grant.Writable))
                folder = grant;
        }

        return folder;
    }

    // Nothing else is in a mount of its own. In the host's, the name has to say it.
    static bool IsBeneath(DescriptorFacts one, ExpectedDescriptor folder) => folder.Path is null
        || one.Target.Is(out string? target) && GuestPath.IsWithin(target, folder.Path);

    static bool IsKind(string target, string kind) =>
        kind.EndsWith(':') ? target.StartsWith(kind, StringComparison.Ordinal) : target == kind;

    static string Describe(DescriptorFacts one) =>
        $"{one.Number} is {Quote.Value(one.Target.Is(out string? target) ? target : "")}";
}
