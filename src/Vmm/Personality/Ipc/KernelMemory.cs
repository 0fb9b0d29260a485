using Sandbox.Policy.Contract;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// The bytes that a guest may make the VMM hold for its kernel objects: pipe and socket buffers, event queues,
/// descriptors in flight. Linux bounds the same per user (pipe-user-pages, wmem, epoll's max_user_watches).
/// </summary>
public sealed class KernelMemory(long limit)
{
    /// <summary>What an object without a buffer of its own is charged: its managed size, rounded up.</summary>
    public const int ObjectCost = 1024;

    private long _used;

    /// <summary>An eighth of the guest's memory, but 4 to 64 MiB.</summary>
    public static KernelMemory For(GuestLimits limits) =>
        new((long)Math.Clamp(limits.MemoryBytes / 8, 4UL << 20, 64UL << 20));

    public long Limit => limit;

    public long Used => Interlocked.Read(ref _used);

    public bool TryReserve(long bytes)
    {
        if (Interlocked.Add(ref _used, bytes) <= limit)
            return true;
        Interlocked.Add(ref _used, -bytes);
        return false;
    }

    public void Release(long bytes) => Interlocked.Add(ref _used, -bytes);
}
