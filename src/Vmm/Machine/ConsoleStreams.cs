using Sandbox.Host;
using Sandbox.Vmm.Devices.Serial;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// The caller's standard input and output at a machine guest's serial port, with a thread each. A reader that does not
/// read makes the guest wait; input that the guest does not take, or not yet, stays with the caller.
/// </summary>
sealed class ConsoleStreams : IMachineStreams
{
    // What is still on its way when the guest has ended is not waited for longer: the reader may be gone for good.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    private readonly SerialPort _serial;
    private readonly OutputQueue _queue;
    private readonly FileDescriptor? _input;
    private readonly LimitedOutput _output;
    private readonly Action _limitReached;
    private readonly object _inputTaken = new();
    private WorkThread? _writer;

    /// <param name="input">Null for none.</param>
    /// <param name="output">Null for none: what the guest writes is lost.</param>
    /// <param name="limit">Bytes that may go to the output; 0 for any number.</param>
    /// <param name="limitReached">Called once the guest has written more.</param>
    public ConsoleStreams(
        SerialPort serial, OutputQueue queue, FileDescriptor? input, FileDescriptor? output, long limit, Action limitReached)
    {
        _serial = serial;
        _queue = queue;
        _input = input;
        _output = new LimitedOutput(output, limit);
        _limitReached = limitReached;
        queue.Ready = serial.OutputReady;
        serial.InputTaken = () =>
        {
            lock (_inputTaken)
                Monitor.Pulse(_inputTaken);
        };
    }

    public long OutputBytes => _output.Bytes;

    public void Start()
    {
        _writer = ThreadFilter.Start("console output", ThreadRole.Device, 128 << 10, Write);
        if (_input is not null)
            ThreadFilter.Start("console input", ThreadRole.Device, 128 << 10, Read);
    }

    /// <summary>Nothing more comes from the guest: waits a while for what is on its way.</summary>
    public void Finish()
    {
        _queue.Close();
        _writer?.Join(s_patience);
    }

    private void Write()
    {
        Span<byte> buffer = stackalloc byte[4096];
        int count;
        while ((count = _queue.Take(buffer)) > 0)
        {
            if (_output.TryWrite(buffer[..count]))
                continue;
            _limitReached();
            return;
        }
    }

    private void Read()
    {
        Span<byte> buffer = stackalloc byte[SerialPort.InputCapacity];
        while (WaitingStream.Read(_input!, buffer) is > 0 and int count)
            Send(buffer[..count]);
    }

    private void Send(ReadOnlySpan<byte> bytes)
    {
        lock (_inputTaken)
            while (true)
            {
                if (_serial.IsListening)
                    bytes = bytes[_serial.Receive(bytes)..];
                if (bytes.IsEmpty)
                    return;
                Monitor.Wait(_inputTaken);
            }
    }
}
