using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.KvmAbi;

namespace Sandbox.Vmm.Kvm;

/// <summary>One KVM virtual machine: api.rst, "VM ioctls".</summary>
public sealed unsafe class KvmVm : IMemorySlots, IDisposable
{
    /// <summary>
    /// A page that exists only to be taken away again. Its slot is deleted to make KVM drop all its translations
    /// (api.rst, KVM_X86_QUIRK_SLOT_ZAP_ALL: the default for every VM type but confidential ones).
    /// </summary>
    private const ulong ForgetAddress = 0xf000_0000;
    private const uint ForgetSlot = 0;

    private readonly Lock _lock = new();
    private readonly KvmSystem _system;
    private readonly FileDescriptor _file;
    private readonly MemoryMapping _forgetPage;
    private uint _nextSlot = ForgetSlot + 1;
    private int _nextVcpu;

    internal KvmVm(KvmSystem system, FileDescriptor file)
    {
        _system = system;
        _file = file;
        _forgetPage = MemoryMapping.Map(Page.Size, Libc.PROT_READ, Libc.MAP_PRIVATE);
    }

    public void Add(PhysicalAddress start, byte* host, ulong bytes)
    {
        lock (_lock)
            SetSlot(_nextSlot++, start.Value, host, bytes);
    }

    public void ForgetTranslations()
    {
        lock (_lock)
        {
            SetSlot(ForgetSlot, ForgetAddress, _forgetPage.Address, Page.Size);
            SetSlot(ForgetSlot, ForgetAddress, _forgetPage.Address, 0);
        }
    }

    private void SetSlot(uint slot, ulong start, byte* host, ulong bytes)
    {
        kvm_userspace_memory_region region = new()
        {
            slot = slot,
            guest_phys_addr = start,
            memory_size = bytes,
            userspace_addr = (ulong)host,
        };
        int result = _file.Control(KVM_SET_USER_MEMORY_REGION, &region);
        if (result < 0)
            throw new HostException(-result, "KVM_SET_USER_MEMORY_REGION", $"slot {slot}, {bytes >> 10} KiB");
    }

    public KvmVcpu CreateVcpu()
    {
        int number = Interlocked.Increment(ref _nextVcpu) - 1;
        int fd = _file.Control(KVM_CREATE_VCPU, (void*)number);
        if (fd < 0)
            throw new HostException(-fd, "KVM_CREATE_VCPU", $"vCPU {number}");
        return new KvmVcpu(new FileDescriptor(fd), _system.RunSize);
    }

    public void Dispose()
    {
        _file.Dispose();
        _forgetPage.Dispose();
    }
}
