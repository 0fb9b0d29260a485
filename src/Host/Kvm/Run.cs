using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>KVM_EXIT_UNKNOWN in <see cref="kvm_run"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_run_hw
{
    public ulong hardware_exit_reason;
}

/// <summary>KVM_EXIT_FAIL_ENTRY in <see cref="kvm_run"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_run_fail_entry
{
    public ulong hardware_entry_failure_reason;
    public uint cpu;
}

/// <summary>KVM_EXIT_EXCEPTION in <see cref="kvm_run"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_run_ex
{
    public uint exception;
    public uint error_code;
}

/// <summary>KVM_EXIT_IO in <see cref="kvm_run"/>; the data is at data_offset from its beginning.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_run_io
{
    public byte direction;
    public byte size;
    public ushort port;
    public uint count;
    public ulong data_offset;
}

/// <summary>KVM_EXIT_DEBUG in <see cref="kvm_run"/>: struct kvm_debug_exit_arch of asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_debug_exit_arch
{
    public uint exception;
    public uint pad;
    public ulong pc;
    public ulong dr6;
    public ulong dr7;
}

/// <summary>KVM_EXIT_MMIO in <see cref="kvm_run"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_run_mmio
{
    public ulong phys_addr;
    public fixed byte data[8];
    public uint len;
    public byte is_write;
}

/// <summary>KVM_EXIT_HYPERCALL in <see cref="kvm_run"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_run_hypercall
{
    public ulong nr;
    public fixed ulong args[6];
    public ulong ret;
    public uint longmode;
    public uint pad;
}

/// <summary>KVM_EXIT_INTERNAL_ERROR in <see cref="kvm_run"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_run_internal
{
    public uint suberror;
    public uint ndata;
    public fixed ulong data[16];
}

/// <summary>KVM_INTERNAL_ERROR_EMULATION, an overlay of <see cref="kvm_run_internal"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_run_emulation_failure
{
    public uint suberror;
    public uint ndata;
    public ulong flags;
    public byte insn_size;
    public fixed byte insn_bytes[15];
}

/// <summary>KVM_EXIT_SYSTEM_EVENT in <see cref="kvm_run"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_run_system_event
{
    public uint type;
    public uint ndata;
    public fixed ulong data[16];
}

/// <summary>KVM_EXIT_IOAPIC_EOI in <see cref="kvm_run"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_run_eoi
{
    public byte vector;
}

/// <summary>KVM_EXIT_X86_RDMSR and KVM_EXIT_X86_WRMSR in <see cref="kvm_run"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_run_msr
{
    public byte error;
    public fixed byte pad[7];
    public uint reason;
    public uint index;
    public ulong data;
}

/// <summary>KVM_EXIT_NOTIFY in <see cref="kvm_run"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_run_notify
{
    public uint flags;
}

/// <summary>The synced registers in <see cref="kvm_run"/>, padded to a fixed size.</summary>
[StructLayout(LayoutKind.Explicit, Size = 2048)]
public struct kvm_run_s
{
    [FieldOffset(0)] public kvm_sync_regs regs;
}

/// <summary>
/// The page that KVM and the VMM share for a vCPU: linux/kvm.h. Map KVM_GET_VCPU_MMAP_SIZE bytes of the vCPU's
/// descriptor. Which arm of the union at offset 32 counts is told by <see cref="exit_reason"/>.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 2352)]
public unsafe struct kvm_run
{
    [FieldOffset(0)] public byte request_interrupt_window;
    [FieldOffset(1)] public byte immediate_exit;
    [FieldOffset(2)] public fixed byte padding1[6];
    [FieldOffset(8)] public uint exit_reason;
    [FieldOffset(12)] public byte ready_for_interrupt_injection;
    [FieldOffset(13)] public byte if_flag;
    [FieldOffset(14)] public ushort flags;
    [FieldOffset(16)] public ulong cr8;
    [FieldOffset(24)] public ulong apic_base;

    [FieldOffset(32)] public kvm_run_hw hw;
    [FieldOffset(32)] public kvm_run_fail_entry fail_entry;
    [FieldOffset(32)] public kvm_run_ex ex;
    [FieldOffset(32)] public kvm_run_io io;
    [FieldOffset(32)] public kvm_debug_exit_arch debug;
    [FieldOffset(32)] public kvm_run_mmio mmio;
    [FieldOffset(32)] public kvm_run_hypercall hypercall;
    [FieldOffset(32)] public kvm_run_internal @internal;
    [FieldOffset(32)] public kvm_run_emulation_failure emulation_failure;
    [FieldOffset(32)] public kvm_run_system_event system_event;
    [FieldOffset(32)] public kvm_run_eoi eoi;
    [FieldOffset(32)] public kvm_run_msr msr;
    [FieldOffset(32)] public kvm_run_notify notify;
    [FieldOffset(32)] public fixed byte padding[256];

    [FieldOffset(288)] public ulong kvm_valid_regs;
    [FieldOffset(296)] public ulong kvm_dirty_regs;
    [FieldOffset(304)] public kvm_run_s s;
}
