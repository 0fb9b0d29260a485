using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail.Cgroups;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>A sandbox of a user.</summary>
/// <param name="IsAlive">Its supervisor lives.</param>
/// <param name="Record">Null while it starts, and for what is no record of this version.</param>
readonly record struct ListedSandbox(SandboxId Id, bool IsAlive, SandboxRecord? Record)
{
    /// <summary>The folder that its own is in.</summary>
    public string Place { get; init; } = "";

    /// <summary>
    /// Why the processes that another user's record names cannot be its, for people; null when nothing speaks against
    /// it.
    /// </summary>
    public string? Doubt { get; init; }

    public SandboxState State => (IsAlive, Record) switch
    {
        (true, null) => SandboxState.Starting,
        (_, { End: not null }) => SandboxState.Exited,
        (false, _) => SandboxState.Lost,
        (true, { IsPaused: true }) => SandboxState.Paused,
        _ => SandboxState.Running,
    };
}

enum SandboxState
{
    Starting,
    Running,
    Paused,
    Exited,

    /// <summary>Its supervisor was killed, and the guest died with it.</summary>
    Lost,
}

/// <summary>
/// All sandboxes of a user, by what their folders say. None of them is asked, so none can keep it waiting.
/// </summary>
static class StateList
{
    /// <summary>Folders that are looked at in a place, and of another user's, who may have made any number.</summary>
    const int Most = 1 << 16, MostOfOthers = 1 << 10;

    /// <summary>
    /// In no order. Of another user's, places that are not his alone hold nothing of his, and folders of control groups
    /// that he names elsewhere than where the kernel's are count as none.
    /// </summary>
    /// <inheritdoc cref="Read(string)"/>
    public static List<ListedSandbox> Read(StateOwner owner)
    {
        if (owner.IsOwn)
            return [.. owner.Places.SelectMany(Read)];
        List<ListedSandbox> all = [];
        foreach (string path in owner.Places)
        {
            if (StatePlace.TryOpen(path, owner.User, out FileDescriptor? place) != 0)
                continue;
            using (place)
                all.AddRange(Read(place!, path, MostOfOthers, owner.User).Select(one => Examine(one, owner.User)));
        }

        return all;
    }

    static ListedSandbox Examine(ListedSandbox one, uint user) =>
        one.Record is not SandboxRecord record ? one : one with
    {
        Record = record with { Groups = [.. record.Groups.Where(group => Hierarchy.IsBelowRoot(group.Folder))] },
        Doubt = one.IsAlive ? RecordedProcesses.Doubt(record, user) : null,
    };

    /// <summary>In no order. Nothing when there is no place yet.</summary>
    /// <exception cref="UsageException">The place is not private.</exception>
    /// <exception cref="HostException">It cannot be read.</exception>
    public static List<ListedSandbox> Read(string path)
    {
        using FileDescriptor? place = OpenPlace(path);
        return place is null ? [] : Read(place, path, Most, owner: null);
    }

    static List<ListedSandbox> Read(FileDescriptor place, string path, int most, uint? owner)
    {
        List<ListedSandbox> all = [];
        foreach (SandboxId id in Ids($"/proc/self/fd/{place.Value}/", most))
        {
            // It may have ended since.
            if (StateFolder.TryOpen(place, id, out StateFolder? folder, owner) != 0)
                continue;
            using (folder)
            {
                // In this order: who has ended has recorded it before.
                bool isAlive = folder!.IsAlive;
                all.Add(new ListedSandbox(id, isAlive, folder.Read()) { Place = path });
            }
        }

        return all;
    }

    /// <summary>The place, opened; null when it is not there.</summary>
    /// <exception cref="UsageException">It is not private.</exception>
    /// <exception cref="HostException">It cannot be read.</exception>
    public static FileDescriptor? OpenPlace(string path) => StatePlace.TryOpen(path, out FileDescriptor? place) switch
    {
        0 => place,
        -ENOENT => null,
        int error => throw (StatePlace.Problem(path, error) is string problem
            ? new UsageException(problem)
            : new HostException(-error, "open", path)),
    };

    /// <summary>Names in the place that are IDs.</summary>
    public static IEnumerable<SandboxId> Ids(string path, int most = Most)
    {
        string[] folders;
        try
        {
            folders = [.. Directory.EnumerateDirectories(path).Take(most)];
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{Quote.Value(path)} cannot be read: {refused.Message}");
        }

        foreach (string folder in folders)
            if (SandboxId.Parse(Path.GetFileName(folder)) is SandboxId id)
                yield return id;
    }

    /// <summary>
    /// The sandbox that a user means: by its ID, by its name (the one that runs before those that ended, and of these
    /// the latest), or by the beginning of its ID.
    /// </summary>
    /// <exception cref="UsageException">There is none, or there are several.</exception>
    public static ListedSandbox Find(string path, string text) => Find(Read(path), text);

    /// <inheritdoc cref="Find(string, string)"/>
    public static ListedSandbox Find(StateOwner owner, string text) => Find(Read(owner), text);

    static ListedSandbox Find(List<ListedSandbox> all, string text)
    {
        if (all.FindIndex(one => one.Id == SandboxId.Parse(text)) is >= 0 and int exact)
            return all[exact];
        ListedSandbox[] named = [.. all.Where(one => one.Record?.Name == text)
            .OrderByDescending(one => one.IsAlive).ThenByDescending(one => one.Record!.StartedAt)];
        if (named.Length > 0)
            return named[0];
        ListedSandbox[] begun = SandboxId.IsPrefix(text)
            ? [.. all.Where(one => one.Id.ToString().StartsWith(text, StringComparison.Ordinal))]
            : [];
        return begun.Length switch
        {
            1 => begun[0],
            0 => throw new UsageException($"no sandbox is called {Quote.Value(text)}; see sandbox ps --all"),
            _ => throw new UsageException(
                $"{begun.Length} sandboxes have IDs that begin with {Quote.Value(text)}; write more of it"),
        };
    }
}
