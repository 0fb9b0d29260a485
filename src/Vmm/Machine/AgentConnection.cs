using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Devices.Vsock;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// The one connection that a guest can open to its VMM: its first process does, before any other runs. Every other port
/// is refused, and so is a second one to this.
/// </summary>
sealed class AgentConnection : IVsockHost
{
    private FileDescriptor? _guestEnd;

    /// <param name="isAwaited">Whether there is an agent; else everything is refused.</param>
    /// <exception cref="HostException">The host has no descriptors left.</exception>
    public AgentConnection(bool isAwaited)
    {
        (Socket, _guestEnd) = FileDescriptor.CreateStreams();
        if (!isAwaited)
            Close();
    }

    /// <summary>The VMM's end.</summary>
    public FileDescriptor Socket { get; }

    public FileDescriptor? Connect(uint port) =>
        port == AgentFrame.Port ? Interlocked.Exchange(ref _guestEnd, null) : null;

    /// <summary>From now on the guest is refused. Where it has not come yet, its end is closed.</summary>
    public void Close() => Interlocked.Exchange(ref _guestEnd, null)?.Dispose();
}
