using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Agent;

/// <summary>
/// Moves bytes between the VMM and the program until the program has ended and what it wrote is gone. Input that the
/// program does not take is held here, never more than the window. While the VMM takes no output, orders are heard.
/// </summary>
sealed unsafe class Relay(AgentSocket socket, Payload payload)
{
    /// <summary>Orphans are this process's to bury: looked for at least so often.</summary>
    private const int Milliseconds = 1000;

    /// <summary>More than a terminal holds of what was written to it. FIONREAD tells but a part of that.</summary>
    private const int TerminalBytes = 16 << 10;

    private const int Vmm = 0, End = 1, Output = 2, Error = 3, Input = 4, Watched = 5;

    private readonly AgentDecoder _decoder = new();
    private readonly byte[] _pending = new byte[AgentFrame.InputWindow];
    private readonly byte[] _buffer = new byte[AgentFrame.MaximumPayload];
    private int _pendingCount;

    /// <summary>Bytes of input that the program took and the VMM does not know of yet.</summary>
    private uint _taken;

    /// <summary>Output and errors take turns.</summary>
    private bool _errorsFirst;
    private bool _inputEnds;
    private bool _outputOpen = true, _errorOpen = !payload.HasTerminal;

    /// <returns>The program's status, as waitpid(2) gives it.</returns>
    public int Run()
    {
        int? status = null;
        pollfd* watched = stackalloc pollfd[Watched];
        while (status is null)
        {
            watched[Vmm] = Watch(socket.File, (short)(socket.IsBusy ? POLLIN | POLLOUT : POLLIN));
            watched[End] = Watch(payload.End, POLLIN);
            watched[Output] = Watch(_outputOpen && !socket.IsBusy ? payload.Output : null, POLLIN);
            watched[Error] = Watch(_errorOpen && !socket.IsBusy ? payload.Error : null, POLLIN);
            watched[Input] = Watch(_pendingCount > 0 ? payload.Input : null, POLLOUT);
            if (poll(watched, Watched, Milliseconds) < 0 && errno != EINTR)
                throw new AgentException(AgentStep.Execute, errno);
            socket.Continue();
            if ((watched[Vmm].revents & ~POLLOUT) != 0)
                Listen();
            if (watched[Input].revents != 0)
                Feed();
            // Heard meanwhile that nobody reads them?
            Tell(_outputOpen && watched[Output].revents != 0, _errorOpen && watched[Error].revents != 0);
            status = Bury();
        }
        // What the program itself has written is in the pipes by now. What its orphans write from here on, which may be
        // for ever, is not waited for.
        int output = _outputOpen ? Waiting(payload.Output) : 0;
        int errors = _errorOpen ? Waiting(payload.Error!) : 0;
        MoveAll(payload.Output, AgentFrameKind.Output, output);
        MoveAll(payload.Error, AgentFrameKind.Error, errors);
        return status.Value;
    }

    /// <summary>Bytes in a stream, at least.</summary>
    private int Waiting(FileDescriptor stream)
    {
        if (payload.HasTerminal)
            return TerminalBytes;
        int bytes = 0;
        return stream.Control(FIONREAD, &bytes) == 0 ? bytes : 0;
    }

    /// <summary>Moves what is there of so many bytes, and waits until the VMM has taken them.</summary>
    private void MoveAll(FileDescriptor? from, AgentFrameKind kind, int bytes)
    {
        socket.Finish();
        while (bytes > 0 && Move(from!, kind, bytes) is > 0 and int count)
        {
            bytes -= count;
            socket.Finish();
        }
    }

    /// <summary>Sends what there is for the VMM, as far as it takes it.</summary>
    private void Tell(bool hasOutput, bool hasErrors)
    {
        if (_taken > 0 && !socket.IsBusy)
        {
            socket.Begin(AgentFrameKind.Taken, BitConverter.GetBytes(_taken));
            _taken = 0;
        }
        _errorsFirst = !_errorsFirst;
        for (int turn = 0; turn < 2; turn++)
        {
            bool errors = _errorsFirst == (turn == 0);
            if (socket.IsBusy || !(errors ? hasErrors : hasOutput))
                continue;
            if (errors)
                _errorOpen = Move(payload.Error!, AgentFrameKind.Error, _buffer.Length) > 0;
            else
                _outputOpen = Move(payload.Output, AgentFrameKind.Output, _buffer.Length) > 0;
        }
    }

    private static pollfd Watch(FileDescriptor? file, short events) =>
        new() { fd = file?.Value ?? -1, events = events };

    /// <returns>The program's status, once it has ended.</returns>
    private int? Bury()
    {
        int? own = null;
        int status, pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (pid == payload.Pid)
                own = status;
        return own;
    }

    /// <summary>Only when no frame is on its way.</summary>
    /// <returns>How many bytes; 0 when nothing more comes, now or ever.</returns>
    private int Move(FileDescriptor from, AgentFrameKind kind, int limit)
    {
        int count = (int)from.Read(_buffer.AsSpan(0, Math.Min(limit, _buffer.Length)));
        if (count <= 0)
            return 0;
        socket.Begin(kind, _buffer.AsSpan(0, count));
        return count;
    }

    private void Listen()
    {
        nint count = socket.File.Read(_buffer);
        ReadOnlySpan<byte> bytes = _buffer.AsSpan(0, (int)Math.Max(count, 0));
        while (!bytes.IsEmpty)
        {
            if (!_decoder.TryTake(ref bytes, out bool isWhole))
                throw new AgentException(AgentStep.Execute, EPROTO);
            if (isWhole)
                Obey(_decoder.Kind, _decoder.Payload);
        }
    }

    private void Obey(AgentFrameKind kind, ReadOnlySpan<byte> data)
    {
        switch (kind)
        {
            case AgentFrameKind.Input:
                if (data.Length > _pending.Length - _pendingCount)
                    throw new AgentException(AgentStep.Execute, EPROTO);
                data.CopyTo(_pending.AsSpan(_pendingCount));
                _pendingCount += data.Length;
                Feed();
                break;
            case AgentFrameKind.InputEnd:
                _inputEnds = true;
                Feed();
                break;
            case AgentFrameKind.Signal when data.Length == 1:
                _ = kill(payload.Pid, data[0]);
                break;
            case AgentFrameKind.WindowSize when data.Length == 2 * sizeof(ushort):
                payload.Resize(BitConverter.ToUInt16(data), BitConverter.ToUInt16(data[sizeof(ushort)..]));
                break;
            case AgentFrameKind.Unread when data is [0] && !payload.HasTerminal:
                _outputOpen = false;
                payload.CloseOutput();
                break;
            case AgentFrameKind.Unread when data is [1] && !payload.HasTerminal:
                _errorOpen = false;
                payload.CloseError();
                break;
            default:
                break;
        }
    }

    /// <summary>Gives the program what waits for it, as far as it takes it, and tells the VMM.</summary>
    private void Feed()
    {
        nint written = 0;
        bool isUnread = payload.Input is null;
        if (_pendingCount > 0 && payload.Input is FileDescriptor input)
        {
            written = input.Write(_pending.AsSpan(0, _pendingCount));
            isUnread = written < 0 && written != -EAGAIN && written != -EINTR;
            // A terminal stays as long as its program.
            if (isUnread && !payload.HasTerminal)
                payload.CloseInput();
        }
        if (isUnread)
            // What comes is taken and forgotten, as a closed pipe would have it.
            written = _pendingCount;
        if (written > 0)
        {
            _pending.AsSpan((int)written, _pendingCount - (int)written).CopyTo(_pending);
            _pendingCount -= (int)written;
            _taken += (uint)written;
        }
        if (_inputEnds && _pendingCount == 0 && !payload.HasTerminal)
            payload.CloseInput();
    }
}
