using Sandbox.Host;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Terminals;

/// <summary>
/// The operator's terminal as the master of one of the guest's own (--tty): what the operator types goes through the
/// guest's line discipline, what the guest prints comes out raw. The supervisor has put the real one in raw mode.
/// </summary>
sealed class HostConsole
{
    /// <summary>Of a paste, while the guest's own buffer is full. Beyond that the operator's terminal waits.</summary>
    private const int KeptCapacity = 64 << 10;

    private readonly Lock _inputLock = new();
    private readonly Lock _outputLock = new();
    private readonly PseudoTerminal _terminal;
    private readonly HostStream _input;
    private readonly HostStream _output;
    private byte[] _kept = [];
    private int _keptAt;
    private int _keptCount;

    /// <param name="input">Raw bytes from the operator.</param>
    /// <param name="output">Raw bytes to the operator; counts towards the output limit.</param>
    public HostConsole(
        LinuxPersonality personality, PseudoTerminal terminal, FileDescriptor input, FileDescriptor output,
        OutputLimit limit)
    {
        _terminal = terminal;
        AnonymousInode inode = new(0, AnonymousDevices.Terminals, 0, 0);
        _input = new HostStream(input, inode, personality.HostPoller, null, _ => PumpInput());
        _output = new HostStream(output, inode, personality.HostPoller, limit, _ => PumpOutput());
        terminal.Terminal.OutputReady = PumpOutput;
        terminal.Terminal.InputTaken = ContinueInput;
    }

    /// <summary>Begins to read what the operator types.</summary>
    public void Start() => PumpInput();

    /// <summary>
    /// The guest has ended: shows what it printed last, as far as the operator's side takes it in time.
    /// </summary>
    public void Drain(long deadline)
    {
        Parker parker = new();
        ThreadWaitEntry entry = new(parker);
        _output.Waiters?.Add(entry);
        do
        {
            PumpOutput();
        }
        while (_terminal.Terminal.OutputCount > 0 && parker.Park(deadline));
        _output.Waiters?.Remove(entry);
    }

    private void PumpInput()
    {
        Span<byte> buffer = stackalloc byte[Terminal.MaximumTyped];
        lock (_inputLock)
        {
            while (true)
            {
                GiveKept();
                if (_keptCount == KeptCapacity)
                    return;
                long count = _input.Read(buffer[..Math.Min(buffer.Length, KeptCapacity - _keptCount)]);
                if (count == -EAGAIN)
                    return;
                if (count <= 0)
                {
                    _terminal.Terminal.HangUp();
                    return;
                }
                Take(buffer[..(int)count]);
            }
        }
    }

    /// <summary>A program has read. In its thread.</summary>
    private void ContinueInput()
    {
        if (Volatile.Read(ref _keptCount) > 0)
            PumpInput();
    }

    private void GiveKept()
    {
        while (_keptCount > 0 && !_terminal.Terminal.IsInputFull)
        {
            int count = Math.Min(Math.Min(_keptCount, KeptCapacity - _keptAt), Terminal.MaximumTyped);
            ReadOnlySpan<byte> piece = _kept.AsSpan(_keptAt, count);
            _keptAt = (_keptAt + count) % KeptCapacity;
            _keptCount -= count;
            _terminal.Terminal.Receive(piece);
        }
    }

    /// <summary>However full the guest's buffer is: the key that interrupts must get through.</summary>
    private void Take(ReadOnlySpan<byte> typed)
    {
        Terminal terminal = _terminal.Terminal;
        if (_keptCount == 0 && !terminal.IsInputFull)
        {
            terminal.Receive(typed);
            return;
        }
        if (_kept.Length == 0)
            _kept = new byte[KeptCapacity];
        for (int i = 0; i < typed.Length; i++)
        {
            if (!terminal.IsUrgent(typed[i], out bool flushes))
            {
                _kept[(_keptAt + _keptCount++) % KeptCapacity] = typed[i];
                continue;
            }
            if (flushes)
                _keptCount = 0;
            terminal.Receive(typed.Slice(i, 1));
        }
    }

    private void PumpOutput()
    {
        Span<byte> buffer = stackalloc byte[4096];
        lock (_outputLock)
        {
            while (true)
            {
                int count = _terminal.Terminal.PeekOutput(buffer);
                if (count == 0)
                    return;
                long written = _output.Write(buffer[..count]);
                if (written == -EAGAIN)
                    return;
                // Nobody looks any more: what is printed goes nowhere, and the guest is told to end.
                if (written < 0)
                {
                    _terminal.Terminal.Flush(input: false, output: true);
                    _terminal.Terminal.HangUp();
                    return;
                }
                _terminal.Terminal.DropOutput((int)written);
            }
        }
    }
}
