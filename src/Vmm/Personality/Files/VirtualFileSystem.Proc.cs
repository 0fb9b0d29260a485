using System.Text;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Loader;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

// /proc and /sys.
public sealed partial class VirtualFileSystem
{
    private void PlaceProc(LinuxPersonality personality)
    {
        ProcFileSystem proc = new(NewDevice(), personality);
        PlaceMount("/proc"u8, proc, readOnly: false, "proc", new ProcRoot(proc));
        int number = 0x100;
        void Text(string path, Func<Caller, byte[]> generate) => PlaceText(proc, path, ref number, generate);
        void Fixed(string path, string content)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(content);
            PlaceText(proc, path, ref number, _ => bytes);
        }

        Text("/proc/meminfo", _ => ProcSystem.MemoryInformation(personality));
        Text("/proc/cpuinfo", _ => ProcessorInformation.Generate(personality.CpuCount));
        Text("/proc/stat", _ => ProcSystem.Stat(personality));
        Text("/proc/uptime", _ => ProcSystem.Uptime(personality));
        Text("/proc/loadavg", _ => ProcSystem.LoadAverage(personality));
        Text("/proc/version", static _ => ProcSystem.Version());
        Text("/proc/filesystems", static _ => ProcSystem.FileSystems());
        Fixed("/proc/cmdline", "\n");
        Fixed("/proc/devices", "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n");
        Fixed("/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
        Place("/proc/mounts"u8, _ => new ProcLink(proc, 0x80, static _ => "self/mounts"u8.ToArray()));

        Fixed("/proc/sys/fs/inotify/max_queued_events", $"{InotifyFile.MaximumQueuedEvents}\n");
        // Bounded by the memory for kernel objects alone; these are what it would hold of nothing else.
        Fixed("/proc/sys/fs/inotify/max_user_instances", $"{personality.KernelMemory.Limit / KernelMemory.ObjectCost}\n");
        Fixed("/proc/sys/fs/inotify/max_user_watches", $"{personality.KernelMemory.Limit / KernelMemory.ObjectCost}\n");
        Fixed("/proc/sys/kernel/ostype", "Linux\n");
        Fixed("/proc/sys/kernel/osrelease", LinuxPersonality.KernelRelease + "\n");
        Fixed("/proc/sys/kernel/version", LinuxPersonality.KernelVersion + "\n");
        Fixed("/proc/sys/kernel/hostname", personality.Plan.Hostname + "\n");
        Fixed("/proc/sys/kernel/domainname", "(none)\n");
        Fixed("/proc/sys/kernel/pid_max", $"{LinuxPersonality.PidLimit}\n");
        Fixed("/proc/sys/kernel/threads-max", $"{personality.Plan.Limits.Processes}\n");
        Fixed("/proc/sys/kernel/ngroups_max", $"{NGROUPS_MAX}\n");
        Fixed("/proc/sys/kernel/cap_last_cap", $"{CAP_LAST_CAP}\n");
        Fixed("/proc/sys/kernel/overflowuid", $"{HostIdentities.Nobody}\n");
        Fixed("/proc/sys/kernel/overflowgid", $"{HostIdentities.Nobody}\n");
        Fixed("/proc/sys/kernel/randomize_va_space", "2\n");
        Fixed("/proc/sys/kernel/core_pattern", "core\n");
        Fixed("/proc/sys/kernel/yama/ptrace_scope", "1\n");
        Fixed("/proc/sys/kernel/random/entropy_avail", "256\n");
        Fixed("/proc/sys/kernel/random/poolsize", "256\n");
        Fixed("/proc/sys/kernel/random/boot_id", $"{NewUuid()}\n");
        Text("/proc/sys/kernel/random/uuid", static _ => Encoding.ASCII.GetBytes($"{NewUuid()}\n"));
        Fixed("/proc/sys/vm/overcommit_memory", "0\n");
        Fixed("/proc/sys/vm/overcommit_ratio", "50\n");
        Fixed("/proc/sys/vm/max_map_count", "65530\n");
        Fixed("/proc/sys/vm/mmap_min_addr", "65536\n");
        Fixed("/proc/sys/vm/swappiness", "60\n");
        Fixed("/proc/sys/fs/file-max", "1048576\n");
        Fixed("/proc/sys/fs/file-nr", "0\t0\t1048576\n");
        Fixed("/proc/sys/fs/nr_open", $"{personality.Plan.Limits.OpenFiles}\n");
        Fixed("/proc/sys/fs/pipe-max-size", "1048576\n");
        Fixed("/proc/sys/fs/protected_symlinks", "0\n");
        Fixed("/proc/sys/fs/protected_hardlinks", "0\n");
        Fixed("/proc/sys/net/core/somaxconn", "4096\n");
    }

    // Guid.NewGuid reads /dev/urandom, and the VMM has no files.
    private static Guid NewUuid()
    {
        Span<byte> bytes = stackalloc byte[16];
        new HostEntropy().Fill(bytes);
        // Version 4 of RFC 9562.
        bytes[6] = (byte)((bytes[6] & 0x0f) | 0x40);
        bytes[8] = (byte)((bytes[8] & 0x3f) | 0x80);
        return new Guid(bytes, bigEndian: true);
    }

    private void PlaceText(ProcFileSystem proc, string path, ref int number, Func<Caller, byte[]> generate)
    {
        ulong inode = (ulong)number++;
        Place(Encoding.ASCII.GetBytes(path), _ => new ProcText(proc, inode, 0x124, null, generate));
    }

    /// <summary>The few files of /sys that runtimes size themselves by. They agree with /proc and with the limits.</summary>
    private void PlaceSys(LinuxPersonality personality)
    {
        int cpus = personality.CpuCount;
        SyntheticFileSystem sys = new(NewDevice(), "sysfs", SYSFS_MAGIC);
        PlaceMount("/sys"u8, sys, readOnly: true, "sysfs", new SyntheticDirectory(sys));
        void Fixed(string path, string content) => Place(
            Encoding.ASCII.GetBytes(path), _ => new SyntheticFile(sys, Encoding.ASCII.GetBytes(content), 0x124));

        string list = ProcSystem.CpuList(cpus) + "\n";
        foreach (string name in new[] { "online", "possible", "present" })
            Fixed($"/sys/devices/system/cpu/{name}", list);
        Fixed("/sys/devices/system/cpu/offline", "\n");
        Fixed("/sys/devices/system/cpu/kernel_max", $"{cpus - 1}\n");
        for (int cpu = 0; cpu < cpus; cpu++)
        {
            string directory = $"/sys/devices/system/cpu/cpu{cpu}";
            Fixed($"{directory}/topology/core_id", $"{cpu}\n");
            Fixed($"{directory}/topology/physical_package_id", "0\n");
            Fixed($"{directory}/topology/die_id", "0\n");
            foreach (string name in new[] { "thread_siblings", "core_cpus" })
            {
                Fixed($"{directory}/topology/{name}", ProcSystem.CpuMask(cpus, cpu) + "\n");
                Fixed($"{directory}/topology/{name}_list", $"{cpu}\n");
            }
            foreach (string name in new[] { "core_siblings", "package_cpus", "die_cpus" })
            {
                Fixed($"{directory}/topology/{name}", ProcSystem.CpuMask(cpus) + "\n");
                Fixed($"{directory}/topology/{name}_list", list);
            }
            foreach (ProcessorCache cache in ProcessorCache.All)
            {
                string index = $"{directory}/cache/index{cache.Index}";
                Fixed($"{index}/level", $"{cache.Level}\n");
                Fixed($"{index}/type", cache.Type + "\n");
                Fixed($"{index}/size", $"{cache.Bytes >> 10}K\n");
                Fixed($"{index}/coherency_line_size", $"{cache.LineSize}\n");
                Fixed($"{index}/ways_of_associativity", $"{cache.Ways}\n");
                Fixed($"{index}/number_of_sets", $"{cache.Sets}\n");
                bool shared = cache.Level >= 3;
                Fixed($"{index}/shared_cpu_list", shared ? list : $"{cpu}\n");
                Fixed($"{index}/shared_cpu_map", (shared ? ProcSystem.CpuMask(cpus) : ProcSystem.CpuMask(cpus, cpu)) + "\n");
            }
        }
        foreach (string name in new[] { "online", "possible", "has_cpu", "has_memory" })
            Fixed($"/sys/devices/system/node/{name}", "0\n");
        Fixed("/sys/devices/system/node/node0/cpulist", list);
        Fixed("/sys/devices/system/node/node0/cpumap", ProcSystem.CpuMask(cpus) + "\n");
        Fixed("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
        Fixed("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", $"{Page.LargeSize}\n");
        Fixed("/sys/kernel/mm/transparent_hugepage/use_zero_page", "1\n");

        SyntheticFileSystem groups = new(NewDevice(), "cgroup2", CGROUP2_SUPER_MAGIC);
        PlaceMount("/sys/fs/cgroup"u8, groups, readOnly: true, "cgroup2", new SyntheticDirectory(groups));
        void Control(string name, Func<string> content) => Place(
            Encoding.ASCII.GetBytes("/sys/fs/cgroup/" + name),
            _ => new GeneratedFile(groups, _ => Encoding.ASCII.GetBytes(content() + "\n")));
        GuestMemory memory = personality.Memory;
        Control("cgroup.controllers", static () => "cpu memory pids");
        Control("cgroup.subtree_control", static () => "");
        Control("cgroup.type", static () => "domain");
        Control("memory.max", () => $"{memory.LimitBytes}");
        Control("memory.high", static () => "max");
        Control("memory.current", () => $"{memory.UsedBytes}");
        Control("memory.peak", () => $"{memory.PeakBytes}");
        Control("memory.swap.max", static () => "0");
        Control("memory.swap.current", static () => "0");
        Control("memory.stat", () => $"anon {memory.UsedBytes}\nfile 0\ninactive_file 0");
        Control("cpu.max", () => $"{cpus * 100000} 100000");
        Control("cpu.weight", static () => "100");
        Control("cpu.stat", () => $"usage_usec {personality.CpuNanoseconds / 1000}\nuser_usec {personality.CpuNanoseconds / 1000}\nsystem_usec 0");
        Control("pids.max", () => $"{personality.Plan.Limits.Processes}");
        Control("pids.current", () => $"{personality.TaskCount}");
    }
}
