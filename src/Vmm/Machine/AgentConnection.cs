using Sandbox.Host;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// The one connection that a guest's agent opens to its VMM: the first process does, before any other runs. A second one
/// is refused.
/// </summary>
sealed class AgentConnection
{
    private FileDescriptor? _guestEnd;

    /// <exception cref="HostException">The host has no descriptors left.</exception>
    public AgentConnection() => (Socket, _guestEnd) = FileDescriptor.CreateStreams();

    /// <summary>The VMM's end.</summary>
    public FileDescriptor Socket { get; }

    /// <summary>The guest's end, from then on the caller's: once, and null afterwards.</summary>
    public FileDescriptor? TakeGuestEnd() => Interlocked.Exchange(ref _guestEnd, null);

    /// <summary>From now on the guest is refused. Where it has not come yet, its end is closed.</summary>
    public void Close() => TakeGuestEnd()?.Dispose();
}
