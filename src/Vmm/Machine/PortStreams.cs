using Sandbox.Host;
using Sandbox.Vmm.Devices.Console;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// The caller's standard input and output at a machine guest's virtio console, with a thread each. Sockets are between
/// them and the device, which never waits, as the caller's streams may. What nobody takes stays where it is.
/// </summary>
sealed class PortStreams : IMachineStreams
{
    // As for the serial port: a reader may be gone for good.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    private readonly FileDescriptor _toGuest;
    private readonly FileDescriptor _fromGuest;
    private readonly FileDescriptor? _input;
    private readonly LimitedOutput _output;
    private readonly Action _limitReached;
    private WorkThread? _writer;

    /// <param name="input">Null for none.</param>
    /// <param name="output">Null for none: what the guest writes is lost.</param>
    /// <param name="limit">Bytes that may go to the output; 0 for any number.</param>
    /// <param name="limitReached">Called once the guest has written more.</param>
    /// <exception cref="HostException">The host has no descriptors left.</exception>
    public PortStreams(GuestRam ram, FileDescriptor? input, FileDescriptor? output, long limit, Action limitReached)
    {
        (_toGuest, FileDescriptor guestInput) = FileDescriptor.CreateStreams();
        (_fromGuest, FileDescriptor guestOutput) = FileDescriptor.CreateStreams();
        _input = input;
        _output = new LimitedOutput(output, limit);
        _limitReached = limitReached;
        Device = new ConsoleDevice(ram, new ConsolePort
        {
            Name = "console", IsConsole = true, Input = guestInput, Output = guestOutput,
        });
    }

    /// <summary>With one port, a terminal.</summary>
    public ConsoleDevice Device { get; }

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
        Device.EndGuest();
        _writer?.Join(s_patience);
    }

    private void Write()
    {
        Span<byte> buffer = stackalloc byte[4096];
        while (WaitingStream.Read(_fromGuest, buffer) is > 0 and int count)
        {
            if (_output.TryWrite(buffer[..count]))
                continue;
            _limitReached();
            return;
        }
    }

    private void Read()
    {
        Span<byte> buffer = stackalloc byte[4096];
        while (WaitingStream.Read(_input!, buffer) is > 0 and int count && WaitingStream.TryWrite(_toGuest, buffer[..count]))
        {
        }
    }
}
