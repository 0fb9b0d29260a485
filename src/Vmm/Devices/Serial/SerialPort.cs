namespace Sandbox.Vmm.Devices.Serial;

/// <summary>
/// A 16550A serial port: eight registers of a byte. What the guest sends goes to a queue with a bound, what it is sent
/// waits in a FIFO with another; baud rates, breaks and modem lines are remembered and mean nothing.
/// </summary>
/// <remarks>Registers and interrupts: PC16550D data sheet, sections 8.0 to 8.8.</remarks>
public sealed class SerialPort(IInterruptLine line, ISerialOutput output) : IBusDevice
{
    public const ulong Length = 8;

    /// <summary>Bytes that wait for the guest.</summary>
    public const int InputCapacity = 256;

    private const int Data = 0, InterruptEnable = 1, InterruptIdentity = 2, LineControl = 3, ModemControl = 4;
    private const int LineStatus = 5, ModemStatus = 6, Scratch = 7;

    private const byte EnableReceived = 1, EnableTransmitted = 2, EnableMask = 0xf;
    private const byte NothingPending = 1, TransmittedPending = 2, ReceivedPending = 4, FifosOn = 0xc0;
    private const byte FifoEnable = 1, FifoClearReceived = 2;
    private const byte DivisorAccess = 0x80;
    private const byte DataReady = 1, Overrun = 2, HolderEmpty = 0x20, TransmitterEmpty = 0x40;
    private const byte RequestToSend = 2, Loopback = 0x10;
    // Carrier, data set ready, clear to send: somebody is there.
    private const byte Connected = 0xb0;

    private readonly Lock _lock = new();
    private readonly byte[] _input = new byte[InputCapacity];
    private int _inputStart;
    private int _inputCount;
    private byte _enabled;
    private byte _lineControl;
    private byte _modemControl;
    private byte _scratch;
    private byte _divisorLow = 1, _divisorHigh;
    private bool _fifos;
    private bool _overrun;
    private bool _transmittedPending;
    private long _lost;
    private Action? _inputTaken;

    /// <summary>Bytes that the guest sent, out or to itself, although there was no room for them.</summary>
    public long Lost => Volatile.Read(ref _lost);

    /// <summary>
    /// Whether the guest is to be sent input: it wants to be told of it, and requests to be sent (RTS). A driver that looks
    /// what the port can do turns on interrupts for a moment, and one that opens it throws away what came before; RTS comes
    /// last.
    /// </summary>
    public bool IsListening
    {
        get
        {
            lock (_lock)
                return Listens;
        }
    }

    private bool Listens =>
        (_enabled & EnableReceived) != 0 && (_modemControl & (Loopback | RequestToSend)) == RequestToSend;

    /// <summary>
    /// Is called by a vCPU's thread when the guest has taken input, so that there is room, and when it begins to listen.
    /// Set before it runs.
    /// </summary>
    public Action InputTaken
    {
        set => _inputTaken = value;
    }

    /// <summary>Sends the guest bytes.</summary>
    /// <returns>How many there was room for.</returns>
    public int Receive(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            int count = Math.Min(bytes.Length, InputCapacity - _inputCount);
            foreach (byte each in bytes[..count])
                Keep(each);
            return count;
        }
    }

    /// <summary>The queue has room again, after it had none.</summary>
    public void OutputReady()
    {
        lock (_lock)
        {
            _transmittedPending = true;
            Interrupt(EnableTransmitted);
        }
    }

    public void Read(ulong offset, Span<byte> data)
    {
        data.Fill(0xff);
        if (data.Length != 1)
            return;
        bool taken = false;
        lock (_lock)
            data[0] = Load((int)offset, ref taken);
        if (taken)
            _inputTaken?.Invoke();
    }

    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (data.Length != 1)
            return;
        bool hasRoom;
        lock (_lock)
        {
            bool listened = Listens, isFull = _inputCount == InputCapacity;
            Store((int)offset, data[0]);
            hasRoom = (Listens && !listened) || (isFull && _inputCount == 0);
        }
        if (hasRoom)
            _inputTaken?.Invoke();
    }

    private byte Load(int register, ref bool taken)
    {
        switch (register)
        {
            case Data when (_lineControl & DivisorAccess) != 0:
                return _divisorLow;
            case Data:
                if (_inputCount == 0)
                    return 0;
                byte value = _input[_inputStart];
                _inputStart = (_inputStart + 1) % InputCapacity;
                _inputCount--;
                taken = true;
                return value;
            case InterruptEnable when (_lineControl & DivisorAccess) != 0:
                return _divisorHigh;
            case InterruptEnable:
                return _enabled;
            case InterruptIdentity:
                byte fifos = _fifos ? FifosOn : (byte)0;
                if ((_enabled & EnableReceived) != 0 && _inputCount > 0)
                    return (byte)(fifos | ReceivedPending);
                if ((_enabled & EnableTransmitted) == 0 || !_transmittedPending)
                    return (byte)(fifos | NothingPending);
                // Being told is what ends it.
                _transmittedPending = false;
                return (byte)(fifos | TransmittedPending);
            case LineControl:
                return _lineControl;
            case ModemControl:
                return _modemControl;
            case LineStatus:
                byte status = (byte)((_inputCount > 0 ? DataReady : 0) | (_overrun ? Overrun : 0)
                    | (output.HasRoom ? HolderEmpty | TransmitterEmpty : 0));
                _overrun = false;
                return status;
            case ModemStatus when (_modemControl & Loopback) != 0:
                // Outputs are the inputs: RTS is CTS, DTR is DSR, OUT1 is RI, OUT2 is DCD.
                return (byte)((_modemControl & 2) << 3 | (_modemControl & 1) << 5 | (_modemControl & 4) << 4
                    | (_modemControl & 8) << 4);
            case ModemStatus:
                return Connected;
            default:
                return _scratch;
        }
    }

    private void Store(int register, byte value)
    {
        switch (register)
        {
            case Data when (_lineControl & DivisorAccess) != 0:
                _divisorLow = value;
                break;
            case Data when (_modemControl & Loopback) != 0:
                if (_inputCount < InputCapacity)
                {
                    Keep(value);
                    break;
                }
                _overrun = true;
                _lost++;
                break;
            case Data:
                Send(value);
                break;
            case InterruptEnable when (_lineControl & DivisorAccess) != 0:
                _divisorHigh = value;
                break;
            case InterruptEnable:
                byte news = (byte)(value & ~_enabled);
                _enabled = (byte)(value & EnableMask);
                if ((news & EnableTransmitted) != 0 && output.HasRoom)
                    _transmittedPending = true;
                Interrupt((byte)(news & (EnableReceived | EnableTransmitted)));
                break;
            case InterruptIdentity:
                _fifos = (value & FifoEnable) != 0;
                if ((value & FifoClearReceived) != 0)
                    _inputCount = 0;
                break;
            case LineControl:
                _lineControl = value;
                break;
            case ModemControl:
                _modemControl = (byte)(value & 0x1f);
                break;
            case Scratch:
                _scratch = value;
                break;
            default:
                // The statuses are not for writing.
                break;
        }
    }

    private void Send(byte value)
    {
        if (!output.TrySend(value))
            _lost++;
        bool isTold = _transmittedPending;
        // Where there is no room, OutputReady says when there is.
        _transmittedPending = output.HasRoom;
        if (!isTold)
            Interrupt(EnableTransmitted);
    }

    private void Keep(byte value)
    {
        _input[(_inputStart + _inputCount) % InputCapacity] = value;
        // A line that is up already has no other edge.
        if (_inputCount++ == 0)
            Interrupt(EnableReceived);
    }

    /// <summary>Raises the line if one of the named causes holds and is enabled.</summary>
    private void Interrupt(byte causes)
    {
        causes &= _enabled;
        if (((causes & EnableReceived) != 0 && _inputCount > 0)
            || ((causes & EnableTransmitted) != 0 && _transmittedPending))
            line.Raise();
    }
}
