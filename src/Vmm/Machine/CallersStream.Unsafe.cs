using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// A stream of the caller's, used by a thread that may wait for it. Its open file may be one of those that never wait, and
/// is the caller's to set: what would have waited is waited for here.
/// </summary>
static unsafe class CallersStream
{
    /// <summary>Writes all bytes.</summary>
    /// <returns>False when nobody reads any more.</returns>
    public static bool TryWrite(FileDescriptor to, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            nint written = to.Write(bytes);
            if (written == -EAGAIN)
                WaitFor(to, POLLOUT);
            else if (written >= 0)
                bytes = bytes[(int)written..];
            else if (written != -EINTR)
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
                WaitFor(from, POLLIN);
            else if (count != -EINTR)
                return (int)Math.Max(count, 0);
        }
    }

    private static void WaitFor(FileDescriptor file, short events)
    {
        pollfd watched = new() { fd = file.Value, events = events };
        _ = poll(&watched, 1, -1);
    }
}
