using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Audit;

/// <summary>The supervisor's end of the socket over which a VMM tells its decisions. One thread reads it.</summary>
sealed class DecisionSocket : IDisposable
{
    /// <summary>
    /// Records a second that are taken. Beyond, the socket is left full for the rest of the second, and the VMM does
    /// what the policy says for a full sink: whatever a VMM sends, the log grows no faster.
    /// </summary>
    public const int MaximumPerSecond = 50_000;

    readonly SeqpacketChannel _channel;
    long _second;
    int _taken;

    public DecisionSocket()
    {
        (FileDescriptor mine, FileDescriptor theirs) = SeqpacketChannel.CreatePair();
        _channel = new SeqpacketChannel(mine);
        VmmEnd = theirs;
    }

    /// <summary>What the VMM is given.</summary>
    public FileDescriptor VmmEnd { get; }

    /// <summary>The VMM has ended: what it sent is read, and nothing is waited for, whoever else has its end.</summary>
    public void End()
    {
        VmmEnd.Dispose();
        shutdown(_channel.Socket.Value, SHUT_RD);
    }

    /// <returns>False when nothing more comes.</returns>
    /// <exception cref="HostException">EBADMSG: what came is no record.</exception>
    public bool Receive(out DecisionMessage message)
    {
        Pace();
        try
        {
            return _channel.Receive(out message);
        }
        catch (HostException gone) when (gone.Errno == ECONNRESET)
        {
            message = default;
            return false;
        }
    }

    public void Dispose()
    {
        VmmEnd.Dispose();
        _channel.Dispose();
    }

    void Pace()
    {
        long now = HostClock.MonotonicNanoseconds();
        if (now / HostClock.NanosecondsPerSecond != _second)
        {
            _second = now / HostClock.NanosecondsPerSecond;
            _taken = 0;
        }

        if (++_taken > MaximumPerSecond)
            Thread.Sleep(
                (int)((HostClock.NanosecondsPerSecond - now % HostClock.NanosecondsPerSecond) / 1_000_000) + 1);
    }
}
