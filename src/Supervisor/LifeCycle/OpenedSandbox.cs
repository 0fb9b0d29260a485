using Sandbox.Host;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>A sandbox that a user named, with its folder.</summary>
sealed class OpenedSandbox : IDisposable
{
    OpenedSandbox(ListedSandbox listed, FileDescriptor place, StateFolder folder)
    {
        Listed = listed;
        Place = place;
        Folder = folder;
    }

    /// <summary>As it was when it was looked for.</summary>
    public ListedSandbox Listed { get; }

    public SandboxId Id => Listed.Id;
    public FileDescriptor Place { get; }
    public StateFolder Folder { get; }

    /// <exception cref="UsageException">There is none, or there are several.</exception>
    /// <exception cref="HostException">The host refused.</exception>
    public static OpenedSandbox Find(string name)
    {
        ListedSandbox listed = StateList.Find(StatePlace.Path, name);
        FileDescriptor? place = StateList.OpenPlace(StatePlace.Path);
        if (place is not null && StateFolder.TryOpen(place, listed.Id, out StateFolder? folder) == 0)
            return new OpenedSandbox(listed, place, folder!);
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
