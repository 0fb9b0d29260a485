using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Machine;

/// <summary>How a program ended that an agent ran.</summary>
/// <param name="Cause">Exited, Signaled, NotFound, NotExecutable, OutputLimit, or Failed.</param>
readonly record struct AgentEnd(EndCause Cause, long Value, long Detail);

/// <summary>
/// The host's side of an agent: the caller's streams and the program's, over a socket of the guest's. Every byte that
/// comes may be a lie: frames that are none, or not in their place, end the guest; nothing that is said makes anything
/// grow, and no more input is sent than was asked for.
/// </summary>
sealed class AgentStreams : IMachineStreams
{
    private const int SignalMilliseconds = 1000;

    private readonly FileDescriptor _socket;
    private readonly FileDescriptor? _input;
    private readonly FileDescriptor? _output;
    private readonly FileDescriptor? _error;
    private readonly long _limit;
    private readonly Action<AgentEnd> _ended;
    private readonly AgentDecoder _decoder = new();
    private readonly byte[] _outgoing = new byte[AgentFrame.HeaderSize + AgentFrame.MaximumPayload];
    private readonly object _sending = new();
    private readonly object _changed = new();
    private readonly OutputDrain _drain = new();
    private int _window = AgentFrame.InputWindow;
    private bool _listens;
    private bool _started;
    private bool _hasEnded;
    private bool _outputOpen;
    private bool _errorOpen;
    private bool _isBroken;
    private long _outputBytes;

    /// <summary>What <see cref="OutputDrain.Writes"/> was at an interruption, and when.</summary>
    private long _interruptedIn, _interruptedAt;

    /// <param name="socket">To the agent: one that never waits.</param>
    /// <param name="limit">Bytes that may go to both outputs together; 0 for any number.</param>
    /// <param name="ended">Called once, with the first reason.</param>
    public AgentStreams(FileDescriptor socket, FileDescriptor? input, FileDescriptor? output, FileDescriptor? error,
        long limit, Action<AgentEnd> ended)
    {
        _socket = socket;
        _input = input;
        _output = output;
        _error = error;
        _limit = limit;
        _ended = ended;
        _outputOpen = output is not null;
        _errorOpen = error is not null;
    }

    /// <summary>Whether the program has been started.</summary>
    public bool HasStarted => Volatile.Read(ref _started);

    /// <summary>Bytes that the program wrote to both outputs.</summary>
    public long OutputBytes => Volatile.Read(ref _outputBytes);

    public void Start()
    {
        _listens = true;
        ThreadFilter.Start("agent", ThreadRole.Device, 128 << 10, Listen);
        if (_input is not null)
            ThreadFilter.Start("agent input", ThreadRole.Device, 128 << 10, ReadInput);
    }

    /// <summary>The guest's end of the socket is closed, or will be.</summary>
    public bool Finish(long milliseconds) => !_listens || _drain.Wait(milliseconds);

    public void GiveUp() => _drain.GiveUp();

    /// <summary>Passes a signal on to the program, once there is one. From one thread only.</summary>
    /// <returns>
    /// False when there is no program yet, or the guest does not listen; or when it is one interruption too many for a
    /// program that may have ended: its agent says that only behind its output, which the caller does not take.
    /// </returns>
    public bool TrySignal(int number)
    {
        if (!Volatile.Read(ref _started) || (number is SIGINT or SIGTERM && !MayInterrupt()))
            return false;
        // Who calls has the supervisor to listen to.
        return TrySend(AgentFrameKind.Signal, [(byte)number], SignalMilliseconds);
    }

    /// <returns>False when one write to the caller has lasted since an interruption a second ago, or longer.</returns>
    private bool MayInterrupt()
    {
        long writes = _drain.Writes, now = HostClock.MonotonicNanoseconds();
        if (long.IsOddInteger(writes) && writes == _interruptedIn)
            return now - _interruptedAt < HostClock.NanosecondsPerSecond;
        (_interruptedIn, _interruptedAt) = (writes, now);
        return true;
    }

    /// <summary>Tells the program's terminal its size.</summary>
    public void Resize(ushort rows, ushort columns)
    {
        Span<ushort> size = [rows, columns];
        // A guest that does not listen has the wrong size; a signal will tell that it does not.
        if (Volatile.Read(ref _started))
            TrySend(AgentFrameKind.WindowSize, MemoryMarshal.AsBytes(size), SignalMilliseconds);
    }

    private void Listen()
    {
        Span<byte> buffer = stackalloc byte[AgentFrame.MaximumPayload];
        while (WaitingStream.Read(_socket, buffer) is > 0 and int count)
        {
            ReadOnlySpan<byte> bytes = buffer[..count];
            while (!bytes.IsEmpty && !_hasEnded)
            {
                if (!_decoder.TryTake(ref bytes, out bool isWhole))
                    Misbehaved();
                else if (isWhole)
                    Hear(_decoder.Kind, _decoder.Payload);
            }
        }
        _drain.End();
    }

    /// <summary>One frame of the guest's. For tests and fuzzing, too: it needs no guest.</summary>
    internal void Hear(AgentFrameKind kind, ReadOnlySpan<byte> payload)
    {
        switch (kind)
        {
            case AgentFrameKind.Started when !_started && payload.IsEmpty:
                Volatile.Write(ref _started, true);
                Changed();
                if (_input is null)
                    Send(AgentFrameKind.InputEnd, []);
                return;
            case AgentFrameKind.Output when _started:
                Write(kind, _output, ref _outputOpen, payload);
                return;
            case AgentFrameKind.Error when _started:
                Write(kind, _error, ref _errorOpen, payload);
                return;
            case AgentFrameKind.Taken when _started && payload.Length == sizeof(uint):
                uint taken = BitConverter.ToUInt32(payload);
                lock (_changed)
                {
                    if (taken <= (uint)(AgentFrame.InputWindow - _window))
                    {
                        _window += (int)taken;
                        Monitor.PulseAll(_changed);
                        return;
                    }
                }
                break;
            case AgentFrameKind.Ended when _started && payload is [0, byte status]:
                End(new AgentEnd(EndCause.Exited, status, 0));
                return;
            case AgentFrameKind.Ended when _started && payload is [1, >= 1 and <= 64 and byte signal]:
                End(new AgentEnd(EndCause.Signaled, signal, 0));
                return;
            case AgentFrameKind.Failed when !_started && payload.Length == 1 + sizeof(int) && payload[0] <= (byte)AgentStep.Execute:
                End(Failure((AgentStep)payload[0], BitConverter.ToInt32(payload[1..])));
                return;
        }
        Misbehaved();
    }

    private static AgentEnd Failure(AgentStep step, int errno) => step switch
    {
        AgentStep.Lookup => new AgentEnd(EndCause.NotFound, ENOENT, 0),
        AgentStep.Execute when errno == ENOENT => new AgentEnd(EndCause.NotFound, ENOENT, 0),
        AgentStep.Execute => new AgentEnd(EndCause.NotExecutable, errno, (long)ExecFailure.None),
        AgentStep.WorkingDirectory => new AgentEnd(EndCause.Failed, errno, (long)VmmFailure.WorkingDirectory),
        AgentStep.Root => new AgentEnd(EndCause.Failed, errno, (long)VmmFailure.GuestRoot),
        _ => new AgentEnd(EndCause.Failed, errno, (long)VmmFailure.GuestSetup),
    };

    private void Misbehaved() => End(new AgentEnd(EndCause.Failed, EPROTO, (long)VmmFailure.AgentMisbehaved));

    private void End(AgentEnd end)
    {
        if (_hasEnded)
            return;
        _hasEnded = true;
        _ended(end);
    }

    /// <summary>Bytes of the program's to the caller, up to the limit.</summary>
    private void Write(AgentFrameKind kind, FileDescriptor? to, ref bool isOpen, ReadOnlySpan<byte> bytes)
    {
        int room = _limit == 0 ? bytes.Length : (int)Math.Min(_limit - _outputBytes, bytes.Length);
        _drain.CountWrite();
        bool isLost = isOpen && !WaitingStream.TryWrite(to!, bytes[..room]);
        _drain.CountWrite();
        if (isLost)
        {
            // What is on its way is lost; more is the program's to know about, which would write for ever. A guest that
            // does not listen is not waited for: its output is what this thread is for.
            isOpen = false;
            TrySend(AgentFrameKind.Unread, [(byte)(kind == AgentFrameKind.Error ? 1 : 0)], SignalMilliseconds);
        }
        Volatile.Write(ref _outputBytes, _outputBytes + room);
        if (room < bytes.Length)
            End(new AgentEnd(EndCause.OutputLimit, 0, 0));
    }

    private void ReadInput()
    {
        Span<byte> buffer = stackalloc byte[AgentFrame.MaximumPayload];
        while (true)
        {
            int room;
            lock (_changed)
            {
                while (_window == 0 || !_started)
                    Monitor.Wait(_changed);
                room = Math.Min(_window, buffer.Length);
            }
            int count = WaitingStream.Read(_input!, buffer[..room]);
            if (count == 0)
                break;
            lock (_changed)
                _window -= count;
            Send(AgentFrameKind.Input, buffer[..count]);
        }
        Send(AgentFrameKind.InputEnd, []);
    }

    /// <summary>A frame as a whole, as the guest takes it.</summary>
    /// <param name="milliseconds">How long the guest may take nothing; -1 for ever.</param>
    /// <returns>False when it took that long; nothing can be sent any more.</returns>
    private bool TrySend(AgentFrameKind kind, ReadOnlySpan<byte> payload, int milliseconds)
    {
        if (!Monitor.TryEnter(_sending, milliseconds))
            return false;
        try
        {
            int length = AgentFrame.Write(kind, payload, _outgoing);
            // Behind half a frame nothing would be one.
            _isBroken = _isBroken || !WaitingStream.TryWrite(_socket, _outgoing.AsSpan(0, length), milliseconds);
            return !_isBroken;
        }
        finally
        {
            Monitor.Exit(_sending);
        }
    }

    private void Send(AgentFrameKind kind, ReadOnlySpan<byte> payload) => TrySend(kind, payload, Timeout.Infinite);

    private void Changed()
    {
        lock (_changed)
            Monitor.PulseAll(_changed);
    }
}
