using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Terminals;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>What the Internet sockets of one guest share.</summary>
sealed class InternetStack
{
    /// <summary>Sockets of the host that the guest may hold at once; beyond that it hears ENOBUFS.</summary>
    public const int HostSocketLimit = 512;

    private readonly LinuxPersonality _personality;

    /// <param name="channel">To the supervisor; stays open as long as the VMM.</param>
    public InternetStack(LinuxPersonality personality, SeqpacketChannel channel, bool withNameServer)
    {
        _personality = personality;
        Broker = new BrokerClient(channel);
        if (withNameServer)
            NameServer = new NameServer(this);
    }

    public BrokerClient Broker { get; }

    public LoopbackPorts Ports { get; } = new();

    public HostSocketBudget HostSockets { get; } = new(HostSocketLimit);

    /// <summary>Null for a guest that may ask for no name.</summary>
    public NameServer? NameServer { get; }

    public HostPoller Poller => _personality.HostPoller;

    public KernelMemory Memory => _personality.KernelMemory;

    /// <summary>CPU time, in nanoseconds, that a thread of the VMM's has spent for the guest.</summary>
    public void ChargeCpu(long nanoseconds) => _personality.ChargeCpu(nanoseconds);

    /// <summary>socket(2).</summary>
    /// <returns>0 or -ENFILE.</returns>
    public long TryCreate(GuestThread thread, int family, int type, bool nonBlocking, out Socket? socket)
    {
        InternetSocket? created = TryCreate(
            family, type, nonBlocking, _personality.CreateInode(thread, AnonymousDevices.Sockets));
        socket = created;
        return created is null ? -ENFILE : 0;
    }

    /// <summary>A socket without a thread that made it. Null when the guest's budget has no room.</summary>
    public InternetSocket? TryCreate(int family, int type, bool nonBlocking, AnonymousInode inode)
    {
        if (!Memory.TryReserve(2 * KernelMemory.ObjectCost))
            return null;
        UnixSocket loopback = new(_personality.Sockets, inode, type, nonBlocking);
        return new InternetSocket(this, inode, family, loopback, nonBlocking);
    }

    /// <summary>A socket for a connection that was accepted; takes the inner one over.</summary>
    public InternetSocket? TryAdopt(int family, UnixSocket loopback, AnonymousInode inode)
    {
        if (Memory.TryReserve(KernelMemory.ObjectCost))
            return new InternetSocket(this, inode, family, loopback, nonBlocking: false);
        loopback.Release();
        return null;
    }
}
