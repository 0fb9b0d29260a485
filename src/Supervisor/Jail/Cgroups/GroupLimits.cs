using Sandbox.Policy.Contract;

namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>What a guest and its VMM together may use of the host.</summary>
/// <param name="MemoryBytes">Swapped out or not, and the kernel's memory for them included.</param>
/// <param name="Cpus">CPUs' worth of time; 0 for as many as the host has, which needs no quota.</param>
/// <param name="Weight">When CPUs are short, in hundredths of what one busy process gets; 1 to 10,000.</param>
/// <param name="Processes">Host threads.</param>
readonly record struct GroupLimits(ulong MemoryBytes, int Cpus, int Weight, int Processes)
{
    /// <summary>
    /// Bytes for the VMM itself and its runtime (14 MiB for a guest that does nothing), and the guest's page tables (at
    /// most 64 MiB).
    /// </summary>
    public const ulong OwnMemory = 128UL << 20;

    /// <summary>
    /// KVM's page tables and reverse maps grow with the guest's memory: this part of it. 100 processes that share
    /// 180 MiB need 35 MiB, most of it among <see cref="OwnMemory"/>.
    /// </summary>
    public const int KernelShare = 16;

    /// <summary>Bytes for each guest thread, its vCPU and its host thread: of 1,000, each needed 460 KiB.</summary>
    public const ulong ThreadMemory = 768UL << 10;

    /// <summary>Threads of the VMM that serve no single guest thread.</summary>
    public const int OwnThreads = 64;

    /// <summary>
    /// Those of a machine guest's devices beside them: 8 disks have four queues each, 4 interfaces 8 pairs each.
    /// </summary>
    public const int DeviceThreads = 80;

    /// <param name="hostCpus">That the supervisor may use.</param>
    public static GroupLimits For(GuestLimits guest, int hostCpus, bool isMachine = false) => new(
        guest.MemoryBytes + guest.MemoryBytes / KernelShare + OwnMemory + (ulong)guest.Processes * ThreadMemory,
        guest.Cpus >= hostCpus ? 0 : guest.Cpus,
        Math.Clamp(100 * Math.Min(guest.Cpus, hostCpus), 1, 10_000),
        guest.Processes + OwnThreads + (isMachine ? DeviceThreads : 0));
}
