using Sandbox.Host;
using Sandbox.Vmm.Devices;

namespace Sandbox.Vmm.Machine;

/// <summary>A pin of the I/O APIC, edge-triggered, that an eventfd raises (KVM_IRQFD).</summary>
public sealed class InterruptLine : IInterruptLine, IDisposable
{
    private static ReadOnlySpan<byte> One => [1, 0, 0, 0, 0, 0, 0, 0];

    internal InterruptLine(FileDescriptor file) => File = file;

    internal FileDescriptor File { get; }

    public void Raise()
    {
        // A counter that is full is an edge that is on its way.
        _ = File.Write(One);
    }

    public void Dispose() => File.Dispose();
}
