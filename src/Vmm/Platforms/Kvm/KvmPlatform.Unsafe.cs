using System.Collections.Concurrent;
using Sandbox.Host;
using Sandbox.Vmm.Kvm;
using Sandbox.Vmm.Memory;

namespace Sandbox.Vmm.Platforms.Kvm;

/// <summary>
/// Process guests on KVM: user code at CPL 3 in a VM whose ring 0 is the two pages of machine code that sandbox-gate
/// assembles. One KVM VM per sandbox; one vCPU per guest thread, used again by later threads, since KVM cannot take
/// a vCPU away.
/// </summary>
public sealed unsafe class KvmPlatform : IPlatform
{
    private readonly KvmMachine _machine;
    private readonly MemoryMapping _ring0;
    private readonly ConcurrentStack<KvmCpu> _idle = new();
    private readonly List<KvmCpu> _all = [];

    /// <summary>
    /// All that can be made before the guest's size is known; <see cref="GuestMemory.Open"/> follows.
    /// </summary>
    /// <param name="machine">Owned from now on.</param>
    /// <exception cref="HostException">The host cannot run a guest.</exception>
    public KvmPlatform(KvmMachine machine)
    {
        _machine = machine;
        _ring0 = MemoryMapping.Map((nuint)Ring0Layout.Size, Libc.PROT_READ | Libc.PROT_WRITE,
            Libc.MAP_PRIVATE | Libc.MAP_NORESERVE, what: "ring 0");
        Vm.Add(new PhysicalAddress(Ring0Layout.PhysicalBase), _ring0.Address, Ring0Layout.Size);
        Memory = new GuestMemory(Vm);
        BuildRing0();
        SystemCallsStayInUserMode = Probe();
        MapGate();
    }

    public GuestMemory Memory { get; }

    /// <summary>
    /// True on hosts where SYSCALL reaches the gate without leaving CPL 3 (paravirtual KVM); the gate is then a user
    /// page, and the VMM returns by writing RIP.
    /// </summary>
    public bool SystemCallsStayInUserMode { get; }

    public bool HandsOver => SystemCallsStayInUserMode;

    internal CpuModel Model => _machine.Model;

    private KvmVm Vm => _machine.Vm;

    internal static ulong GateAddress => Ring0Layout.VirtualBase + Ring0Layout.GateOffset;

    public VirtualCpu RentCpu()
    {
        if (_idle.TryPop(out KvmCpu? cpu))
            return cpu;
        lock (_all)
        {
            if (_all.Count == Math.Min(Ring0Layout.MaximumVcpus, _machine.System.MaximumVcpus))
                throw new HostException(Libc.EAGAIN, "KVM_CREATE_VCPU", $"{_all.Count} vCPUs");
            return CreateCpu();
        }
    }

    public void ReturnCpu(VirtualCpu cpu)
    {
        KvmCpu own = (KvmCpu)cpu;
        own.Detach();
        _idle.Push(own);
    }

    private KvmCpu CreateCpu()
    {
        // First, since KVM cannot take a vCPU away that has no page.
        byte* page = VcpuPage(_all.Count);
        KvmCpu cpu = new(this, Vm.CreateVcpu(), _all.Count, page);
        _all.Add(cpu);
        return cpu;
    }

    /// <summary>The vCPU's page, mapped in ring 0 from now on.</summary>
    private byte* VcpuPage(int number)
    {
        ulong offset = Ring0Layout.VcpuOffset + ((ulong)number * Page.Size);
        if (!TryMap(offset, Protection.ReadWrite))
            throw new HostException(Libc.EAGAIN, "KVM_CREATE_VCPU", "the guest has no memory left for a page table");
        return _ring0.Address + offset;
    }

    private void BuildRing0()
    {
        Ring0Bytes.Bytes.CopyTo(new Span<byte>(_ring0.Address + Ring0Layout.CodeOffset, Page.Size));
        GateBytes.Bytes.CopyTo(new Span<byte>(_ring0.Address + Ring0Layout.GateOffset, Page.Size));
        HandoffBytes.Bytes.CopyTo(new Span<byte>(_ring0.Address + Ring0Layout.HandoffOffset, Page.Size));
        ulong* idt = (ulong*)(_ring0.Address + Ring0Layout.IdtOffset);
        for (int vector = 0; vector < Ring0Bytes.StubCount; vector++)
        {
            ulong handler = Ring0Layout.VirtualBase + Ring0Layout.CodeOffset + (ulong)(vector * Ring0Bytes.StubSize);
            // Present, interrupt gate, IST 1. INT3 and INTO are the program's to execute; no other INT n is.
            ulong privilege = vector is 3 or 4 ? 3UL : 0UL;
            idt[vector * 2] = (handler & 0xffff) | ((ulong)Ring0Layout.KernelCode << 16) | (1UL << 32)
                | (0x8eUL << 40) | (privilege << 45) | ((handler >> 16 & 0xffff) << 48);
            idt[(vector * 2) + 1] = handler >> 32;
        }
        Map(Ring0Layout.IdtOffset, Protection.ReadWrite);
        Map(Ring0Layout.CodeOffset, Protection.Read | Protection.Execute);
        for (ulong offset = 0; offset < (ulong)PageTablePool.PageLimit * Page.Size; offset += Page.LargeSize)
            if (!Memory.Ring0.TrySetLarge(Ring0Layout.TablesBase + offset, PageTableEntry.Supervisor(
                    new PhysicalAddress(PageTablePool.PhysicalBase + offset), Protection.ReadWrite, large: true)))
                throw NoTables();
    }

    private void Map(ulong offset, Protection protection, bool user = false, ulong? target = null)
    {
        if (!TryMap(offset, protection, user, target))
            throw NoTables();
    }

    private bool TryMap(ulong offset, Protection protection, bool user = false, ulong? target = null)
    {
        PhysicalAddress page = new(Ring0Layout.PhysicalBase + (target ?? offset));
        PageTableEntry leaf = user
            ? PageTableEntry.User(page, protection)
            : PageTableEntry.Supervisor(page, protection);
        return Memory.Ring0.TrySet(Ring0Layout.VirtualBase + offset, leaf);
    }

    private static InvalidOperationException NoTables() => new("the page-table pool has no room for ring 0");

    private void MapGate() =>
        Map(Ring0Layout.GateOffset, Protection.Read | Protection.Execute, user: SystemCallsStayInUserMode);

    /// <summary>The rate of the guest's time-stamp counter in kHz; 0 when the host does not tell.</summary>
    public int TscKilohertz { get; private set; }

    /// <summary>What the guest's counter showed at a moment of CLOCK_MONOTONIC.</summary>
    public (ulong Tsc, long MonotonicNanoseconds) TscReading { get; private set; }

    /// <summary>
    /// Executes one SYSCALL at CPL 3, before any guest code exists, and looks at which CPL it arrives. Nothing that a
    /// guest does later can change the answer.
    /// </summary>
    private bool Probe()
    {
        ulong probe = Ring0Layout.VirtualBase + Ring0Layout.ProbeOffset;
        Map(Ring0Layout.ProbeOffset, Protection.Read | Protection.Execute, user: true, target: Ring0Layout.GateOffset);
        KvmCpu cpu = (KvmCpu)RentCpu();
        TscKilohertz = cpu.TscKilohertz;
        bool staysInUserMode =
            cpu.ProbeSystemCall(Memory.Ring0.Root, probe, probe + GateBytes.ProbeOffset, out ulong tsc);
        TscReading = (tsc, HostClock.MonotonicNanoseconds());
        Memory.Ring0.Replace(probe, default, recordEdit: true);
        if (!cpu.RewriteEntries(Memory.Ring0.Edits))
            throw new HostException(Libc.ENOSYS, "KVM_RUN", cpu.FailureDetail, "this KVM cannot run process guests");
        Memory.Ring0.Edits.Clear();
        ReturnCpu(cpu);
        return staysInUserMode;
    }

    public void Dispose()
    {
        foreach (KvmCpu cpu in _all)
            cpu.Dispose();
        _machine.Dispose();
        Memory.Dispose();
        _ring0.Dispose();
    }
}
