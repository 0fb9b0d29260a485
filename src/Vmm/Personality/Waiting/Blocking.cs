using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.SystemCalls;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Waiting;

/// <summary>
/// How system calls wait. The thread first joins the queue, then tries again, then sleeps: a change between the try
/// and the sleep leaves a token in the <see cref="Parker"/>, so no wake-up is lost.
/// </summary>
/// <example>
/// <code>
/// using Blocking wait = new(thread, queue, PollEvents.Readable);
/// while ((result = Try()) == -EAGAIN)
///     if ((slept = wait.Sleep(deadline)) != 0)
///         return slept;
/// </code>
/// </example>
public readonly ref struct Blocking
{
    private readonly GuestThread _thread;
    private readonly WaitQueue _queue;

    /// <param name="interest">Events to wake for; errors and hang-ups always do.</param>
    public Blocking(GuestThread thread, WaitQueue queue, PollEvents interest)
    {
        _thread = thread;
        _queue = queue;
        thread.WaitEntry.Interest = interest | PollEvents.Always;
        queue.Add(thread.WaitEntry);
    }

    /// <summary>Sleeps until a notification, a signal or the deadline (host CLOCK_MONOTONIC nanoseconds).</summary>
    /// <param name="interrupted">What a signal ends it with.</param>
    /// <returns>
    /// 0: look again. -ETIMEDOUT: the deadline has passed. <paramref name="interrupted"/>, or another code of
    /// <see cref="Restart"/>: see <see cref="GuestThread.MayWait"/>.
    /// </returns>
    public long Sleep(long deadline = Parker.Forever, long interrupted = Restart.System)
    {
        long code = _thread.MayWait(interrupted);
        if (code != 0)
            return code;
        return _thread.Parker.Park(deadline) ? 0 : -ETIMEDOUT;
    }

    public void Dispose() => _queue.Remove(_thread.WaitEntry);

    /// <summary>read(2) on an open file, waiting for data unless told otherwise.</summary>
    public static long Read(GuestThread thread, OpenFile file, Span<byte> buffer, bool nonBlocking)
    {
        long result = file.Read(thread, buffer);
        if (result != -EAGAIN || nonBlocking || file.IsNonBlocking)
            return result;
        WaitQueue? queue = file.GetWaiters(thread);
        if (queue is null)
            return result;

        long startedAt = HostClock.MonotonicNanoseconds();
        using Blocking wait = new(thread, queue, PollEvents.Readable | PollEvents.ReadHangUp);
        while ((result = file.Read(thread, buffer)) == -EAGAIN)
        {
            long deadline = file.ReadDeadline(startedAt);
            long slept = wait.Sleep(deadline, file.Interrupted(deadline));
            if (slept == -ETIMEDOUT)
                return file.ReadTimedOut(buffer);
            if (slept != 0)
                return slept;
        }
        return result;
    }

    /// <summary>write(2) on an open file, waiting for room unless told otherwise. May write a part.</summary>
    public static long Write(GuestThread thread, OpenFile file, ReadOnlySpan<byte> buffer, bool nonBlocking)
    {
        long result = file.Write(thread, buffer);
        if (result != -EAGAIN || nonBlocking || file.IsNonBlocking)
            return result;
        WaitQueue? queue = file.GetWaiters(thread);
        if (queue is null)
            return result;

        long startedAt = HostClock.MonotonicNanoseconds();
        using Blocking wait = new(thread, queue, PollEvents.Writable);
        while ((result = file.Write(thread, buffer)) == -EAGAIN)
        {
            long deadline = file.WriteDeadline(startedAt);
            long slept = wait.Sleep(deadline, file.Interrupted(deadline));
            if (slept != 0)
                return slept == -ETIMEDOUT ? -EAGAIN : slept;
        }
        return result;
    }
}
