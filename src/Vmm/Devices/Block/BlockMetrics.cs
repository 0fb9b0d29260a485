using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Devices.Block;

/// <summary>What a disk counts, over all its queues.</summary>
public sealed class BlockMetrics(int queues, RateLimiter reads, RateLimiter writes) : DeviceMetrics(queues)
{
    private long _bytesRead;
    private long _bytesWritten;
    private long _flushes;
    private long _ranges;
    private long _errors;
    private long _unsupported;
    private long _ring;
    private long _plain;

    public long BytesRead => Volatile.Read(ref _bytesRead);

    public long BytesWritten => Volatile.Read(ref _bytesWritten);

    public long Flushes => Volatile.Read(ref _flushes);

    /// <summary>Ranges that were discarded or made zero.</summary>
    public long Ranges => Volatile.Read(ref _ranges);

    /// <summary>Requests that ended with VIRTIO_BLK_S_IOERR.</summary>
    public long Errors => Volatile.Read(ref _errors);

    /// <summary>Requests that ended with VIRTIO_BLK_S_UNSUPP.</summary>
    public long Unsupported => Volatile.Read(ref _unsupported);

    /// <summary>Requests that an io_uring served.</summary>
    public long RingRequests => Volatile.Read(ref _ring);

    /// <summary>Requests that a thread of the device's served itself.</summary>
    public long PlainRequests => Volatile.Read(ref _plain);

    public override void Report(Action<string, long> tell)
    {
        base.Report(tell);
        tell("read_bytes", BytesRead);
        tell("written_bytes", BytesWritten);
        tell("flushes", Flushes);
        tell("ranges", Ranges);
        tell("errors", Errors);
        tell("unsupported", Unsupported);
        tell("throttled", reads.Throttled + writes.Throttled);
        tell("ring_requests", RingRequests);
        tell("plain_requests", PlainRequests);
    }

    internal void CountRead(uint bytes) => Interlocked.Add(ref _bytesRead, bytes);

    internal void CountWritten(uint bytes) => Interlocked.Add(ref _bytesWritten, bytes);

    internal void CountFlush() => Interlocked.Increment(ref _flushes);

    internal void CountRange() => Interlocked.Increment(ref _ranges);

    internal void CountError() => Interlocked.Increment(ref _errors);

    internal void CountUnsupported() => Interlocked.Increment(ref _unsupported);

    internal void CountRing() => Interlocked.Increment(ref _ring);

    internal void CountPlain() => Interlocked.Increment(ref _plain);
}
