namespace Sandbox.Vmm.Virtio;

/// <summary>How a request ended, or why it has not.</summary>
public readonly record struct RequestResult
{
    private RequestResult(RequestEnd end, long value)
    {
        End = end;
        Value = value;
    }

    internal enum RequestEnd : byte
    {
        Done,
        Kept,
        Later,
        Blocked,
        Broken,
    }

    internal RequestEnd End { get; }

    /// <summary>Bytes, a time, or a <see cref="QueueFault"/>.</summary>
    internal long Value { get; }

    /// <summary>The device is busy with it, and returns it by itself.</summary>
    public static RequestResult Kept => new(RequestEnd.Kept, 0);

    /// <summary>Served.</summary>
    /// <param name="bytes">Written into the chain, from its first writable byte on.</param>
    public static RequestResult Done(uint bytes) => new(RequestEnd.Done, bytes);

    /// <summary>Not before this time of the monotonic clock; the request stays first in the queue.</summary>
    public static RequestResult Later(long nanoseconds) => new(RequestEnd.Later, nanoseconds);

    /// <summary>Not now; the device knows when. The request stays first in the queue.</summary>
    public static RequestResult Blocked => new(RequestEnd.Blocked, 0);

    /// <summary>The driver broke a rule: the device needs a reset.</summary>
    public static RequestResult Broken(QueueFault fault) => new(RequestEnd.Broken, (long)fault);
}
