using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>General registers: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_regs
{
    public ulong rax;
    public ulong rbx;
    public ulong rcx;
    public ulong rdx;
    public ulong rsi;
    public ulong rdi;
    public ulong rsp;
    public ulong rbp;
    public ulong r8;
    public ulong r9;
    public ulong r10;
    public ulong r11;
    public ulong r12;
    public ulong r13;
    public ulong r14;
    public ulong r15;
    public ulong rip;
    public ulong rflags;
}

/// <summary>A segment register with its hidden part: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_segment
{
    public ulong @base;
    public uint limit;
    public ushort selector;
    public byte type;
    public byte present;
    public byte dpl;
    public byte db;
    public byte s;
    public byte l;
    public byte g;
    public byte avl;
    public byte unusable;
    public byte padding;
}

/// <summary>GDTR or IDTR: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_dtable
{
    public ulong @base;
    public ushort limit;
    public fixed ushort padding[3];
}

/// <summary>Segment, control and table registers: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_sregs
{
    public kvm_segment cs;
    public kvm_segment ds;
    public kvm_segment es;
    public kvm_segment fs;
    public kvm_segment gs;
    public kvm_segment ss;
    public kvm_segment tr;
    public kvm_segment ldt;
    public kvm_dtable gdt;
    public kvm_dtable idt;
    public ulong cr0;
    public ulong cr2;
    public ulong cr3;
    public ulong cr4;
    public ulong cr8;
    public ulong efer;
    public ulong apic_base;
    public fixed ulong interrupt_bitmap[4];
}

/// <summary>kvm_sregs with PDPTRs in place of the interrupt bitmap: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_sregs2
{
    public kvm_segment cs;
    public kvm_segment ds;
    public kvm_segment es;
    public kvm_segment fs;
    public kvm_segment gs;
    public kvm_segment ss;
    public kvm_segment tr;
    public kvm_segment ldt;
    public kvm_dtable gdt;
    public kvm_dtable idt;
    public ulong cr0;
    public ulong cr2;
    public ulong cr3;
    public ulong cr4;
    public ulong cr8;
    public ulong efer;
    public ulong apic_base;
    public ulong flags;
    public fixed ulong pdptrs[4];
}

/// <summary>x87 and SSE state: asm/kvm.h. kvm_xsave supersedes it.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_fpu
{
    public fixed byte fpr[128];
    public ushort fcw;
    public ushort fsw;
    public byte ftwx;
    public byte pad1;
    public ushort last_opcode;
    public ulong last_ip;
    public ulong last_dp;
    public fixed byte xmm[256];
    public uint mxcsr;
    public uint pad2;
}

/// <summary>
/// An XSAVE image without dynamic features: asm/kvm.h, 4,096 bytes. KVM_CAP_XSAVE2 tells the size that
/// KVM_GET_XSAVE2 and KVM_SET_XSAVE really use; where it is larger, this structure is its beginning.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_xsave
{
    public fixed uint region[1024];
}

/// <summary>An extended control register: asm/kvm.h. Number 0 is XCR0.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_xcr
{
    public uint xcr;
    public uint reserved;
    public ulong value;
}

/// <summary>The entries of <see cref="kvm_xcrs"/>.</summary>
[System.Runtime.CompilerServices.InlineArray(KvmAbi.KVM_MAX_XCRS)]
public struct kvm_xcr_entries
{
    private kvm_xcr _first;
}

/// <summary>Extended control registers: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_xcrs
{
    public uint nr_xcrs;
    public uint flags;
    public kvm_xcr_entries xcrs;
    public fixed ulong padding[16];
}

/// <summary>Debug registers: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_debugregs
{
    public fixed ulong db[4];
    public ulong dr6;
    public ulong dr7;
    public ulong flags;
    public fixed ulong reserved[9];
}

/// <summary>Breakpoints and stepping by the host: asm/kvm.h (arch.debugreg) and linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_guest_debug
{
    public uint control;
    public uint pad;
    public fixed ulong arch[8];
}

/// <summary>Exception in <see cref="kvm_vcpu_events"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_vcpu_events_exception
{
    public byte injected;
    public byte nr;
    public byte has_error_code;
    public byte pending;
    public uint error_code;
}

/// <summary>Interrupt in <see cref="kvm_vcpu_events"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_vcpu_events_interrupt
{
    public byte injected;
    public byte nr;
    public byte soft;
    public byte shadow;
}

/// <summary>NMI in <see cref="kvm_vcpu_events"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_vcpu_events_nmi
{
    public byte injected;
    public byte pending;
    public byte masked;
    public byte pad;
}

/// <summary>SMI in <see cref="kvm_vcpu_events"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_vcpu_events_smi
{
    public byte smm;
    public byte pending;
    public byte smm_inside_nmi;
    public byte latched_init;
}

/// <summary>Triple fault in <see cref="kvm_vcpu_events"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_vcpu_events_triple_fault
{
    public byte pending;
}

/// <summary>Pending and injected events: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_vcpu_events
{
    public kvm_vcpu_events_exception exception;
    public kvm_vcpu_events_interrupt interrupt;
    public kvm_vcpu_events_nmi nmi;
    public uint sipi_vector;
    public uint flags;
    public kvm_vcpu_events_smi smi;
    public kvm_vcpu_events_triple_fault triple_fault;
    public fixed byte reserved[26];
    public byte exception_has_payload;
    public ulong exception_payload;
}

/// <summary>What is shared in kvm_run under KVM_CAP_SYNC_REGS: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_sync_regs
{
    public kvm_regs regs;
    public kvm_sregs sregs;
    public kvm_vcpu_events events;
}

/// <summary>Registers of the local APIC: asm/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_lapic_state
{
    public fixed byte regs[0x400];
}

/// <summary>Whether a vCPU runs (KVM_MP_STATE_*): linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_mp_state
{
    public uint mp_state;
}

/// <summary>A translation that KVM does on the guest's page tables: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_translation
{
    public ulong linear_address;
    public ulong physical_address;
    public byte valid;
    public byte writeable;
    public byte usermode;
    public fixed byte pad[5];
}
