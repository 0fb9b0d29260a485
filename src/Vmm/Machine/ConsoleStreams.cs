using Sandbox.Host;
using Sandbox.Vmm.Devices.Serial;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// The caller's standard input and output at a machine guest's serial port. A reader that does not read makes the guest
/// wait; input that the guest does not take, or not yet, stays with the caller.
/// </summary>
sealed class ConsoleStreams : ThreadedStreams
{
    private readonly SerialPort _serial;
    private readonly OutputQueue _queue;
    private readonly object _inputTaken = new();

    /// <inheritdoc/>
    public ConsoleStreams(
        SerialPort serial, OutputQueue queue, FileDescriptor? input, FileDescriptor? output, long limit, Action limitReached)
        : base(input, output, limit, limitReached)
    {
        _serial = serial;
        _queue = queue;
        queue.Ready = serial.OutputReady;
        serial.InputTaken = () =>
        {
            lock (_inputTaken)
                Monitor.Pulse(_inputTaken);
        };
    }

    protected override int InputBytes => SerialPort.InputCapacity;

    protected override int TakeOutput(Span<byte> buffer) => _queue.Take(buffer);

    protected override void EndOutput() => _queue.Close();

    protected override bool GiveInput(ReadOnlySpan<byte> bytes)
    {
        lock (_inputTaken)
            while (true)
            {
                if (_serial.IsListening)
                    bytes = bytes[_serial.Receive(bytes)..];
                if (bytes.IsEmpty)
                    return true;
                Monitor.Wait(_inputTaken);
            }
    }
}
