using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// A stream used by a thread that may wait for it. Its open file may be one of those that never wait, and may be the
/// caller's, who sets that: what would have waited is waited for here.
/// </summary>
static unsafe class WaitingStream
{
    /// <summary>Writes all bytes.</summary>
    /// <param name="milliseconds">How long nothing of it may be taken; -1 for ever.</param>
    /// <returns>False when it took that long, or nobody reads any more.</returns>
    public static bool TryWrite(FileDescriptor to, ReadOnlySpan<byte> bytes, int milliseconds = -1)
    {
        while (!bytes.IsEmpty)
        {
            nint written = to.Write(bytes);
            if (written >= 0)
                bytes = bytes[(int)written..];
            else if (written == -EAGAIN ? !WaitFor(to, POLLOUT, milliseconds) : written != -EINTR)
                return false;
        }
        return true;
    }

    /// <returns>How many bytes; 0 when no more will come.</returns>
    public static int Read(FileDescriptor from, Span<byte> buffer)
    {
        while (true)
        {
            nint count = from.Read(buffer);
            if (count == -EAGAIN)
                WaitFor(from, POLLIN, -1);
            else if (count != -EINTR)
                return (int)Math.Max(count, 0);
        }
    }

    /// <returns>False when the time is over.</returns>
    private static bool WaitFor(FileDescriptor file, short events, int milliseconds)
    {
        pollfd watched = new() { fd = file.Value, events = events };
        return poll(&watched, 1, milliseconds) != 0;
    }
}
