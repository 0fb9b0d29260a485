using Sandbox.Host;
using Sandbox.Vmm.Devices.Console;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// The caller's standard input and output at a machine guest's virtio console. Sockets are between them and the device,
/// which never waits, as the caller's streams may. What nobody takes stays where it is.
/// </summary>
sealed class PortStreams : ThreadedStreams
{
    private readonly FileDescriptor _toGuest;
    private readonly FileDescriptor _fromGuest;

    /// <inheritdoc/>
    /// <exception cref="HostException">The host has no descriptors left.</exception>
    public PortStreams(GuestRam ram, FileDescriptor? input, FileDescriptor? output, long limit, Action limitReached)
        : base(input, output, limit, limitReached)
    {
        (_toGuest, FileDescriptor guestInput) = FileDescriptor.CreateStreams();
        (_fromGuest, FileDescriptor guestOutput) = FileDescriptor.CreateStreams();
        Device = new ConsoleDevice(ram, new ConsolePort
        {
            Name = "console", IsConsole = true, Input = guestInput, Output = guestOutput,
        });
    }

    /// <summary>With one port, a terminal.</summary>
    public ConsoleDevice Device { get; }

    protected override int InputBytes => 4096;

    protected override int TakeOutput(Span<byte> buffer) => WaitingStream.Read(_fromGuest, buffer);

    protected override void EndOutput() => Device.EndGuest();

    protected override bool GiveInput(ReadOnlySpan<byte> bytes) => WaitingStream.TryWrite(_toGuest, bytes);
}
