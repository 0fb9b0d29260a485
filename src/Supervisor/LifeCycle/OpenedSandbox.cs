using Sandbox.Host;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>A sandbox that was named, with its folder.</summary>
sealed class OpenedSandbox : IDisposable
{
    OpenedSandbox(StateOwner owner, ListedSandbox listed, FileDescriptor place, StateFolder folder)
    {
        Owner = owner;
        Listed = listed;
        Place = place;
        Folder = folder;
    }

    public StateOwner Owner { get; }

    /// <summary>As it was when it was looked for.</summary>
    public ListedSandbox Listed { get; }

    public SandboxId Id => Listed.Id;
    public FileDescriptor Place { get; }
    public StateFolder Folder { get; }

    /// <exception cref="UsageException">There is none, or there are several.</exception>
    /// <exception cref="HostException">The host refused.</exception>
    public static OpenedSandbox Find(string name) => Find(StateOwner.Own, name);

    /// <inheritdoc cref="Find(string)"/>
    public static OpenedSandbox Find(StateOwner owner, string name)
    {
        ListedSandbox listed = StateList.Find(owner, name);
        if (StatePlace.TryOpen(listed.Place, owner.User, out FileDescriptor? place) == 0
            && StateFolder.TryOpen(place!, listed.Id, out StateFolder? folder, owner.IsOwn ? null : owner.User) == 0)
            return new OpenedSandbox(owner, listed, place!, folder!);
        place?.Dispose();
        throw new UsageException($"{Quote.Value(name)} has just ended");
    }

    /// <summary>Null when it has ended.</summary>
    public ControlClient? Connect() => Listed.IsAlive ? ControlClient.Connect(Folder) : null;

    public UsageException HasEnded => new($"{Id} has ended; see sandbox ps --all");

    public void Dispose()
    {
        Folder.Dispose();
        Place.Dispose();
    }
}
