using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Agent;

/// <summary>
/// Moves bytes between the VMM and the program until the program has ended and what it wrote is gone. Input that the
/// program does not take is held here, never more than the window.
/// </summary>
sealed unsafe class Relay(AgentSocket socket, Payload payload)
{
    /// <summary>Orphans are this process's to bury: looked for at least so often.</summary>
    private const int Milliseconds = 1000;

    private const int Vmm = 0, End = 1, Output = 2, Error = 3, Input = 4, Watched = 5;

    private readonly AgentDecoder _decoder = new();
    private readonly byte[] _pending = new byte[AgentFrame.InputWindow];
    private readonly byte[] _buffer = new byte[AgentFrame.MaximumPayload];
    private int _pendingCount;
    private bool _inputEnds;
    private bool _outputOpen = true, _errorOpen = payload.Error is not null;

    /// <returns>The program's status, as waitpid(2) gives it.</returns>
    public int Run()
    {
        int? status = null;
        pollfd* watched = stackalloc pollfd[Watched];
        while (status is null)
        {
            watched[Vmm] = Watch(socket.File, POLLIN);
            watched[End] = Watch(payload.End, POLLIN);
            watched[Output] = Watch(_outputOpen ? payload.Output : null, POLLIN);
            watched[Error] = Watch(_errorOpen ? payload.Error : null, POLLIN);
            watched[Input] = Watch(_pendingCount > 0 ? payload.Input : null, POLLOUT);
            if (poll(watched, Watched, Milliseconds) < 0 && errno != EINTR)
                throw new AgentException(AgentStep.Execute, errno);
            if (watched[Vmm].revents != 0)
                Listen();
            if (watched[Input].revents != 0)
                Feed();
            if (watched[Output].revents != 0)
                _outputOpen = Move(payload.Output, AgentFrameKind.Output);
            if (watched[Error].revents != 0)
                _errorOpen = Move(payload.Error!, AgentFrameKind.Error);
            status = Bury();
        }
        // What the program itself has written is in the pipes by now; what its orphans still write is not waited for.
        while (_outputOpen && Move(payload.Output, AgentFrameKind.Output))
        {
        }
        while (_errorOpen && Move(payload.Error!, AgentFrameKind.Error))
        {
        }
        return status.Value;
    }

    private static pollfd Watch(FileDescriptor? file, short events) => new() { fd = file?.Value ?? -1, events = events };

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

    /// <returns>False when nothing more comes, now or ever.</returns>
    private bool Move(FileDescriptor from, AgentFrameKind kind)
    {
        nint count = from.Read(_buffer);
        if (count > 0)
            socket.Send(kind, _buffer.AsSpan(0, (int)count));
        return count > 0;
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
            default:
                break;
        }
    }

    /// <summary>Gives the program what waits for it, as far as it takes it, and tells the VMM.</summary>
    private void Feed()
    {
        nint written = 0;
        if (_pendingCount > 0 && payload.Input is FileDescriptor input)
        {
            written = input.Write(_pending.AsSpan(0, _pendingCount));
            if (written < 0 && written != -EAGAIN && written != -EINTR)
                payload.CloseInput();
        }
        if (payload.Input is null)
            // Nobody reads: what comes is taken and forgotten, as a closed pipe would have it.
            written = _pendingCount;
        if (written > 0)
        {
            _pending.AsSpan((int)written, _pendingCount - (int)written).CopyTo(_pending);
            _pendingCount -= (int)written;
            socket.Send(AgentFrameKind.Taken, BitConverter.GetBytes((uint)written));
        }
        // A terminal stays as long as its program.
        if (_inputEnds && _pendingCount == 0 && payload.Error is not null)
            payload.CloseInput();
    }
}
