using Sandbox.Host;
using Sandbox.Vmm.Personality.Ipc;

namespace Sandbox.Vmm.Personality;

public sealed partial class LinuxPersonality
{
    private KernelMemory? _kernelMemory;
    private long _lastAnonymousInode;

    /// <summary>The budget for pipes, sockets, event queues and the like.</summary>
    public KernelMemory KernelMemory =>
        _kernelMemory ?? Interlocked.CompareExchange(ref _kernelMemory, KernelMemory.For(Plan.Limits), null)
        ?? _kernelMemory;

    private SocketSpace? _sockets;

    internal SocketSpace Sockets =>
        _sockets ?? Interlocked.CompareExchange(ref _sockets, new SocketSpace(KernelMemory), null) ?? _sockets;

    private SharedSegments? _segments;

    internal SharedSegments Segments =>
        _segments ?? Interlocked.CompareExchange(ref _segments, new SharedSegments(this), null) ?? _segments;

    /// <summary>Null in a guest without any network.</summary>
    internal InternetStack? Network { get; private set; }

    /// <summary>Gives the guest what of the network its plan has. Before its first process runs.</summary>
    /// <param name="descriptors">Those that came with the plan, by index; they must stay open.</param>
    internal void OpenNetwork(IReadOnlyList<FileDescriptor> descriptors)
    {
        if (Plan.Network is not { } network)
            return;
        HostPoller.Prepare();
        Network = new InternetStack(this, new SeqpacketChannel(descriptors[network.Broker]), network.NameServer);
        Network.Broker.Start();
        Network.NameServer?.Start(() => new AnonymousInode(
            Interlocked.Increment(ref _lastAnonymousInode), AnonymousDevices.Sockets, 0, 0));
    }

    /// <summary>Keeps epoll instances from watching each other in circles.</summary>
    internal EpollNesting EpollNesting { get; } = new();

    /// <summary>An inode for a file without a name, owned by the caller.</summary>
    internal AnonymousInode CreateInode(GuestThread thread, uint device, int references = 1)
    {
        Credentials credentials = thread.Process.Credentials;
        return new AnonymousInode(Interlocked.Increment(ref _lastAnonymousInode), device,
            credentials.FileSystemUid, credentials.FileSystemGid, references);
    }
}
