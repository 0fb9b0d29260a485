using System.Runtime.CompilerServices;
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

    /// <summary>Of the I/O APIC in the kernel.</summary>
    private const int IoApicPins = 24;

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

    /// <summary>The same, but the guest's writes are exits (KVM_MEM_READONLY).</summary>
    public void AddReadOnly(PhysicalAddress start, byte* host, ulong bytes)
    {
        lock (_lock)
            SetSlot(_nextSlot++, start.Value, host, bytes, KVM_MEM_READONLY);
    }

    public void ForgetTranslations()
    {
        lock (_lock)
        {
            SetSlot(ForgetSlot, ForgetAddress, _forgetPage.Address, Page.Size);
            SetSlot(ForgetSlot, ForgetAddress, _forgetPage.Address, 0);
        }
    }

    private void SetSlot(uint slot, ulong start, byte* host, ulong bytes, uint flags = 0)
    {
        kvm_userspace_memory_region region = new()
        {
            slot = slot,
            flags = flags,
            guest_phys_addr = start,
            memory_size = bytes,
            userspace_addr = (ulong)host,
        };
        int result = _file.Control(KVM_SET_USER_MEMORY_REGION, &region);
        if (result < 0)
            throw new HostException(-result, "KVM_SET_USER_MEMORY_REGION", $"slot {slot}, {bytes >> 10} KiB");
    }

    /// <summary>
    /// Interrupt controllers in the kernel: an I/O APIC and, for every vCPU made afterwards, a local APIC
    /// (KVM_CREATE_IRQCHIP). Before the first vCPU.
    /// </summary>
    /// <remarks>
    /// The PIC that comes with them masks nothing, has vectors from 0 on and is connected to the first local APIC:
    /// firmware would set it up, and there is none. So no interrupt is led to it (KVM_SET_GSI_ROUTING).
    /// </remarks>
    /// <param name="tss">Three pages of guest-physical memory below 4 GiB that hold nothing else.</param>
    /// <param name="identityMap">One more.</param>
    public void CreateInterruptControllers(ulong tss, ulong identityMap)
    {
        Check(_file.Control(KVM_SET_IDENTITY_MAP_ADDR, &identityMap), "KVM_SET_IDENTITY_MAP_ADDR");
        Check(_file.Control(KVM_SET_TSS_ADDR, (void*)tss), "KVM_SET_TSS_ADDR");
        Check(_file.Control(KVM_CREATE_IRQCHIP), "KVM_CREATE_IRQCHIP");
        Routes routes = new() { Head = new kvm_irq_routing { nr = IoApicPins } };
        for (int pin = 0; pin < IoApicPins; pin++)
        {
            ref kvm_irq_routing_entry route = ref routes.Entries[pin];
            (route.gsi, route.type) = ((uint)pin, KVM_IRQ_ROUTING_IRQCHIP);
            route.u.irqchip = new kvm_irq_routing_irqchip { irqchip = KVM_IRQCHIP_IOAPIC, pin = (uint)pin };
        }
        Check(_file.Control(KVM_SET_GSI_ROUTING, &routes), "KVM_SET_GSI_ROUTING");
    }

    /// <summary>Writing the eventfd raises an edge at the pin (KVM_IRQFD).</summary>
    public void RaiseFrom(FileDescriptor file, uint pin)
    {
        kvm_irqfd request = new() { fd = (uint)file.Value, gsi = pin };
        Check(_file.Control(KVM_IRQFD, &request), "KVM_IRQFD");
    }

    /// <summary>A 4-byte write of a value to an address signals the eventfd, without an exit (KVM_IOEVENTFD).</summary>
    public void SignalOnWrite(FileDescriptor file, PhysicalAddress address, uint value)
    {
        kvm_ioeventfd request = new()
        {
            fd = file.Value, addr = address.Value, len = sizeof(uint), datamatch = value,
            flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
        };
        Check(_file.Control(KVM_IOEVENTFD, &request), "KVM_IOEVENTFD");
    }

    /// <summary>
    /// Model-specific registers outside the ranges, and inside them those with a 0, are refused to the guest: an exit
    /// tells (KVM_X86_SET_MSR_FILTER, KVM_CAP_X86_USER_SPACE_MSR). Before the first vCPU runs.
    /// </summary>
    /// <param name="ranges">Up to 16: the first register, and a bit for each.</param>
    public void FilterModelSpecificRegisters(ReadOnlySpan<(uint First, byte[] Bitmap)> ranges)
    {
        kvm_enable_cap exits = new() { cap = KVM_CAP_X86_USER_SPACE_MSR };
        exits.args[0] = KVM_MSR_EXIT_REASON_FILTER;
        Check(_file.Control(KVM_ENABLE_CAP, &exits), "KVM_CAP_X86_USER_SPACE_MSR");
        int bytes = 0;
        foreach ((_, byte[] bitmap) in ranges)
            bytes += bitmap.Length;
        byte* bitmaps = stackalloc byte[bytes];
        kvm_msr_filter filter = new() { flags = KVM_MSR_FILTER_DEFAULT_DENY };
        for (int i = 0; i < ranges.Length; i++)
        {
            (uint first, byte[] bitmap) = ranges[i];
            bitmap.CopyTo(new Span<byte>(bitmaps, bitmap.Length));
            filter.ranges[i] = new kvm_msr_filter_range
            {
                flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, @base = first, nmsrs = (uint)bitmap.Length * 8,
                bitmap = bitmaps,
            };
            bitmaps += bitmap.Length;
        }
        Check(_file.Control(KVM_X86_SET_MSR_FILTER, &filter), "KVM_X86_SET_MSR_FILTER");
    }

    private static void Check(int result, string call)
    {
        if (result < 0)
            throw new HostException(-result, call);
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

    private struct Routes
    {
        public kvm_irq_routing Head;
        public RouteEntries Entries;
    }

    [InlineArray(IoApicPins)]
    private struct RouteEntries
    {
        private kvm_irq_routing_entry _first;
    }
}
