using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>A memory slot; sizes in bytes, everything page-aligned, size 0 deletes: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_userspace_memory_region
{
    public uint slot;
    public uint flags;
    public ulong guest_phys_addr;
    public ulong memory_size;
    public ulong userspace_addr;
}

/// <summary>Where the dirty bitmap of a slot goes, one bit per page: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_dirty_log
{
    public uint slot;
    public uint padding1;
    public void* dirty_bitmap;
}

/// <summary>Which pages to protect again: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_clear_dirty_log
{
    public uint slot;
    public uint num_pages;
    public ulong first_page;
    public void* dirty_bitmap;
}

/// <summary>The paravirtual clock: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_clock_data
{
    public ulong clock;
    public uint flags;
    public uint pad0;
    public ulong realtime;
    public ulong host_tsc;
    public fixed uint pad[4];
}

/// <summary>An interrupt vector to inject: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_interrupt
{
    public uint irq;
}

/// <summary>Level of an interrupt line: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_irq_level
{
    public uint irq;
    public uint level;
}

/// <summary>An eventfd that raises an interrupt: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_irqfd
{
    public uint fd;
    public uint gsi;
    public uint flags;
    public uint resamplefd;
    public fixed byte pad[16];
}

/// <summary>An eventfd that a guest's write signals: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_ioeventfd
{
    public ulong datamatch;
    public ulong addr;
    public uint len;
    public int fd;
    public uint flags;
    public fixed byte pad[36];
}

/// <summary>A message-signalled interrupt: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_msi
{
    public uint address_lo;
    public uint address_hi;
    public uint data;
    public uint flags;
    public uint devid;
    public fixed byte pad[12];
}

/// <summary>Configuration of the interval timer: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct kvm_pit_config
{
    public uint flags;
    public fixed uint pad[15];
}

/// <summary>An attribute of a device, a VM or a vCPU: linux/kvm.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct kvm_device_attr
{
    public uint flags;
    public uint group;
    public ulong attr;
    public ulong addr;
}
