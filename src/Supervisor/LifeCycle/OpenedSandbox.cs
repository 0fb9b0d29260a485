using Sandbox.Host;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>A sandbox that was named, with its folder.</summary>
sealed class OpenedSandbox : IDisposable
{
    const int MomentMilliseconds = 1_000;

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
    /// <exception cref="UsageException">It cannot be asked.</exception>
    public ControlClient? Connect()
    {
        ControlClient? supervisor = null;
        return !Listed.IsAlive || Soon(() => (supervisor = ControlClient.Connect(Folder)) is not null || IsOver)
            ? supervisor
            : throw new UsageException($"{Id} is still starting; try again in a moment");
    }

    public UsageException HasEnded => new($"{Id} has ended; see sandbox ps --all");

    /// <summary>A connection that a supervisor has ended without a word means the sandbox's end, as a rule.</summary>
    /// <exception cref="UsageException">This one serves too many others.</exception>
    public void ExpectEnd(ControlClient supervisor)
    {
        if (supervisor.IsDropped && !Soon(() => IsOver))
            throw new UsageException(
                $"{Id} runs, and its supervisor serves {ControlSocket.MaximumClients} others at once; try again");
    }

    bool IsOver => !Folder.IsAlive || Folder.IsRemoved || Folder.Read()?.End is not null;

    /// <summary>Whether that is so within the time that a supervisor takes at most from its folder to its socket, or back.</summary>
    static bool Soon(Func<bool> isSo)
    {
        for (int waited = 0; waited < MomentMilliseconds; waited++)
        {
            if (isSo())
                return true;
            Thread.Sleep(1);
        }

        return false;
    }

    public void Dispose()
    {
        Folder.Dispose();
        Place.Dispose();
    }
}
