using Sandbox.Host;
using Sandbox.Vmm.Kvm;

namespace Sandbox.Vmm.Platforms.Kvm;

/// <summary>
/// An empty KVM virtual machine and the processor model for its guests: what can be made before the plan, and so the
/// guest's size, is known.
/// </summary>
public sealed class KvmMachine : IDisposable
{
    /// <param name="device">/dev/kvm; owned from now on.</param>
    /// <exception cref="HostException">The host cannot run a guest.</exception>
    public KvmMachine(FileDescriptor device)
    {
        System = new KvmSystem(device);
        Vm = System.CreateVm();
        Model = new CpuModel(System.SupportedCpuid());
    }

    internal KvmSystem System { get; }

    internal KvmVm Vm { get; }

    internal CpuModel Model { get; }

    public void Dispose()
    {
        Vm.Dispose();
        System.Dispose();
    }
}
