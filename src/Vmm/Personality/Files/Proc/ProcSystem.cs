using System.Text;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Time;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// The files of /proc about the system as a whole. The system is the guest: its memory limit, its CPUs, its
/// processes. Only clocks and the processor's model are the host's, and the guest can ask the processor itself.
/// </summary>
static class ProcSystem
{
    public static byte[] MemoryInformation(LinuxPersonality personality)
    {
        GuestMemory memory = personality.Memory;
        ulong total = memory.LimitBytes, free = total - Math.Min(memory.UsedBytes, total);
        ulong used = total - free;
        TextBuilder text = new();
        void Row(string name, ulong bytes)
        {
            text.Add(name).Add(':');
            text.AddRight((long)(bytes >> 10), 24 - name.Length - 1).Add(" kB\n");
        }

        Row("MemTotal", total);
        Row("MemFree", free);
        Row("MemAvailable", free);
        Row("Buffers", 0);
        Row("Cached", 0);
        Row("SwapCached", 0);
        Row("Active", used);
        Row("Inactive", 0);
        Row("Active(anon)", used);
        Row("Inactive(anon)", 0);
        Row("Active(file)", 0);
        Row("Inactive(file)", 0);
        Row("Unevictable", 0);
        Row("Mlocked", 0);
        Row("SwapTotal", 0);
        Row("SwapFree", 0);
        Row("Dirty", 0);
        Row("Writeback", 0);
        Row("AnonPages", used);
        Row("Mapped", 0);
        Row("Shmem", 0);
        Row("KReclaimable", 0);
        Row("Slab", 0);
        Row("SReclaimable", 0);
        Row("SUnreclaim", 0);
        Row("KernelStack", 0);
        Row("PageTables", 0);
        Row("CommitLimit", total);
        Row("Committed_AS", used);
        Row("VmallocTotal", 0x7fffffffffff);
        Row("VmallocUsed", 0);
        Row("VmallocChunk", 0);
        Row("AnonHugePages", 0);
        text.Add("HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\nHugePages_Surp:        0\n");
        Row("Hugepagesize", Page.LargeSize);
        Row("Hugetlb", 0);
        return text.ToArray();
    }

    public static byte[] Stat(LinuxPersonality personality)
    {
        int cpus = personality.CpuCount;
        long uptime = personality.Clock.Monotonic - personality.StartedAt;
        long busy = personality.CpuNanoseconds, idle = Math.Max(uptime * cpus - busy, 0);
        TextBuilder text = new();
        text.Add("cpu  ");
        CpuTimes(text, busy, idle);
        for (int i = 0; i < cpus; i++)
        {
            text.Add("cpu").Add(i).Add(' ');
            CpuTimes(text, busy / cpus, idle / cpus);
        }
        long started = (personality.Clock.Realtime - personality.Clock.BootTime) / GuestClock.NanosecondsPerSecond;
        text.Add("intr 0\nctxt 0\nbtime ").Add(started).Add("\nprocesses ").Add(personality.ProcessesStarted)
            .Add("\nprocs_running ").Add(Running(personality)).Add("\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n");
        return text.ToArray();
    }

    private static void CpuTimes(TextBuilder text, long busy, long idle) =>
        text.Add(busy / GuestClock.NanosecondsPerTick).Add(" 0 0 ").Add(idle / GuestClock.NanosecondsPerTick)
            .Add(" 0 0 0 0 0 0\n");

    private static int Running(LinuxPersonality personality)
    {
        int running = 0;
        foreach (Process process in personality.ListProcesses())
        {
            foreach (GuestThread thread in personality.ListThreads(process))
                running += thread.StateLetter == 'R' ? 1 : 0;
        }
        return running;
    }

    public static byte[] Uptime(LinuxPersonality personality)
    {
        long up = personality.Clock.BootTime;
        long idle = Math.Max((personality.Clock.Monotonic - personality.StartedAt) * personality.CpuCount
            - personality.CpuNanoseconds, 0);
        TextBuilder text = new();
        Hundredths(text, up);
        text.Add(' ');
        Hundredths(text, idle);
        return text.Add('\n').ToArray();
    }

    private static void Hundredths(TextBuilder text, long nanoseconds)
    {
        long hundredths = nanoseconds / 10_000_000;
        text.Add(hundredths / 100).Add('.').Add((char)('0' + hundredths / 10 % 10)).Add((char)('0' + hundredths % 10));
    }

    /// <summary>The guest's load is not averaged: what runs now stands in all three places.</summary>
    public static byte[] LoadAverage(LinuxPersonality personality)
    {
        int running = Running(personality);
        Process[] processes = personality.ListProcesses();
        return new TextBuilder().Add($"{running}.00 {running}.00 {running}.00 {running}/{personality.TaskCount} ")
            .Add(processes.Length == 0 ? 0 : processes[^1].Pid).Add('\n').ToArray();
    }

    public static byte[] Version() => Encoding.ASCII.GetBytes(
        $"Linux version {LinuxPersonality.KernelRelease} (sandbox) {LinuxPersonality.KernelVersion}\n");

    public static byte[] FileSystems() =>
        "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tcgroup2\nnodev\tdevtmpfs\nnodev\tdevpts\nnodev\thost\n"u8.ToArray();

    /// <summary>"0-3", or "0".</summary>
    public static string CpuList(int count) => count == 1 ? "0" : $"0-{count - 1}";

    /// <summary>Hexadecimal, in groups of 32 bits from the highest.</summary>
    /// <param name="only">The one CPU whose bit is set; -1 sets them all.</param>
    public static string CpuMask(int count, int only = -1)
    {
        StringBuilder mask = new();
        for (int group = (count - 1) / 32; group >= 0; group--)
        {
            uint value = 0;
            for (int cpu = group * 32; cpu < Math.Min(count, group * 32 + 32); cpu++)
                value |= only < 0 || only == cpu ? 1u << (cpu & 31) : 0;
            if (mask.Length > 0)
                mask.Append(',').Append(value.ToString("x8", null));
            else
                mask.Append(value.ToString("x", null));
        }
        return mask.ToString();
    }
}
