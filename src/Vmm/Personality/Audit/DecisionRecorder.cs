using System.Buffers.Binary;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.SystemCalls;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Audit;

/// <summary>
/// Tells the supervisor what the policy decided, one message for each decision, in the order in which they are sent.
/// From any thread; allocates nothing.
/// </summary>
/// <param name="channel">Taken over.</param>
/// <param name="stop">
/// Has the guest ended, for <see cref="WhenFull.Stop"/>. Called once, under whatever locks a decision is taken: it must
/// take none itself.
/// </param>
public sealed class DecisionRecorder(SeqpacketChannel channel, AuditPlan plan, Action stop) : IDisposable
{
    private readonly Lock _lock = new();
    private ulong _sequence;
    private ulong _dropped;
    private bool _stopped;

    /// <summary>Whether decisions that came to this are recorded.</summary>
    public bool Records(bool allowed) => plan.All || !allowed;

    /// <summary>One access to a path.</summary>
    /// <param name="error">0, or the errno that the guest gets.</param>
    /// <param name="isWhole">False when this is only the end of a path that is too long.</param>
    /// <returns>False when the decision must not take effect, as it could not be recorded.</returns>
    public bool RecordPath(
        DecisionKind kind, PathAccess access, int error, int rule, long nanoseconds, ReadOnlySpan<byte> path, bool isWhole)
    {
        DecisionMessage message = Begin(kind, error, rule, nanoseconds);
        message.Access = access;
        int length = Math.Min(path.Length, DecisionMessage.RequestBytes);
        path[..length].CopyTo(message.Request);
        message.Length = (uint)length;
        message.Truncated = isWhole && length == path.Length ? 0u : 1u;
        return Send(ref message);
    }

    /// <summary>Another name for a file. Of each path at most half of the room is used.</summary>
    public bool RecordMove(int error, long nanoseconds, ReadOnlySpan<byte> oldPath, ReadOnlySpan<byte> newPath, bool areWhole)
    {
        const int half = (DecisionMessage.RequestBytes - 1) / 2;
        DecisionMessage message = Begin(DecisionKind.Move, error, Verdict.NoRule, nanoseconds);
        int first = Math.Min(oldPath.Length, half), second = Math.Min(newPath.Length, half);
        Span<byte> request = message.Request;
        oldPath[..first].CopyTo(request);
        newPath[..second].CopyTo(request[(first + 1)..]);
        message.Length = (uint)(first + 1 + second);
        message.Truncated = areWhole && first == oldPath.Length && second == newPath.Length ? 0u : 1u;
        return Send(ref message);
    }

    public bool RecordCall(uint number, in SystemCallArguments arguments, in SystemCallVerdict verdict, long nanoseconds)
    {
        int answer = verdict.Answer == SystemCallTables.Kill ? DecisionMessage.Killed : verdict.Answer;
        DecisionMessage message = Begin(DecisionKind.SystemCall, verdict.Allowed ? 0 : answer, verdict.Rule, nanoseconds);
        ReadOnlySpan<ulong> values =
            [number, arguments.A0, arguments.A1, arguments.A2, arguments.A3, arguments.A4, arguments.A5];
        Span<byte> request = message.Request;
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(request[(8 * i)..], values[i]);
        message.Length = (uint)(8 * values.Length);
        return Send(ref message);
    }

    /// <summary>Says that nothing follows. Waits for room, whatever the policy says: the guest has ended.</summary>
    public void Finish()
    {
        lock (_lock)
        {
            if (_dropped > 0)
                SendDropped(wait: true);
            DecisionMessage end = new() { Version = DecisionMessage.CurrentVersion, Kind = DecisionKind.End };
            SendNext(ref end, wait: true);
        }
    }

    public void Dispose() => channel.Dispose();

    private static DecisionMessage Begin(DecisionKind kind, int error, int rule, long nanoseconds) => new()
    {
        Version = DecisionMessage.CurrentVersion,
        Kind = kind,
        Result = error,
        Rule = rule,
        Process = GuestThread.Current?.Process.Pid ?? 0,
        Nanoseconds = nanoseconds,
    };

    private bool Send(ref DecisionMessage message)
    {
        lock (_lock)
        {
            if (_stopped)
                return false;
            // What was dropped before this is told before this.
            if ((_dropped == 0 || SendDropped(wait: false)) && SendNext(ref message, plan.WhenFull == WhenFull.Block))
                return true;
            if (plan.WhenFull == WhenFull.Drop)
            {
                _dropped++;
                return true;
            }
            _stopped = true;
            stop();
            return false;
        }
    }

    private bool SendDropped(bool wait)
    {
        DecisionMessage message = new()
        {
            Version = DecisionMessage.CurrentVersion, Kind = DecisionKind.Dropped, Count = _dropped,
        };
        if (!SendNext(ref message, wait))
            return false;
        _dropped = 0;
        return true;
    }

    private bool SendNext(ref DecisionMessage message, bool wait)
    {
        message.Sequence = _sequence + 1;
        if (channel.TrySend(message, wait) != 0)
            return false;
        _sequence++;
        return true;
    }
}
