using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>One CPUID leaf: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_cpuid_entry2
{
    public uint function;
    public uint index;
    public uint flags;
    public uint eax;
    public uint ebx;
    public uint ecx;
    public uint edx;
    public fixed uint padding[3];
}

/// <summary>Head of a list of CPUID leaves; <see cref="nent"/> entries follow: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_cpuid2
{
    public uint nent;
    public uint padding;
}

/// <summary>One MSR: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_msr_entry
{
    public uint index;
    public uint reserved;
    public ulong data;
}

/// <summary>Head of a list of MSRs; <see cref="nmsrs"/> entries follow: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_msrs
{
    public uint nmsrs;
    public uint pad;
}

/// <summary>Head of a list of MSR numbers; <see cref="nmsrs"/> of them follow: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_msr_list
{
    public uint nmsrs;
}

/// <summary>A range of MSRs for <see cref="kvm_msr_filter"/>: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_msr_filter_range
{
    public uint flags;
    public uint nmsrs;
    public uint @base;
    /// <summary>One bit per MSR; 1 allows what flags names.</summary>
    public byte* bitmap;
}

/// <summary>The ranges of <see cref="kvm_msr_filter"/>.</summary>
[System.Runtime.CompilerServices.InlineArray(KvmAbi.KVM_MSR_FILTER_MAX_RANGES)]
public struct kvm_msr_filter_ranges
{
    private kvm_msr_filter_range _first;
}

/// <summary>Which MSRs the guest may touch: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_msr_filter
{
    public uint flags;
    public kvm_msr_filter_ranges ranges;
}

/// <summary>Head of a list of interrupt routes; <see cref="nr"/> entries follow: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_irq_routing
{
    public uint nr;
    public uint flags;
}

/// <summary>Where an interrupt goes: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_irq_routing_entry
{
    public uint gsi;
    public uint type;
    public uint flags;
    public uint pad;
    public kvm_irq_routing_u u;
}

/// <summary>Of <see cref="kvm_irq_routing_entry"/>: which arm counts is told by its type.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
public struct kvm_irq_routing_u
{
    [FieldOffset(0)] public kvm_irq_routing_irqchip irqchip;
}

/// <summary>A pin of an interrupt controller in the kernel (KVM_IRQ_ROUTING_IRQCHIP): linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_irq_routing_irqchip
{
    public uint irqchip;
    public uint pin;
}

/// <summary>Head of a signal mask for KVM_RUN; <see cref="len"/> (8) bytes of signal set follow: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_signal_mask
{
    public uint len;
}

/// <summary>An optional feature to switch on: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_enable_cap
{
    public uint cap;
    public uint flags;
    public fixed ulong args[4];
    public fixed byte pad[64];
}
