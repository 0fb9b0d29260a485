using System.Globalization;
using System.Text.Json;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>
/// Machine guests with one processor and with several, up to the limit. The lab host has one: vCPUs take turns on it, since QEMU 7.2 does not
/// emulate several for guests that take interrupts (<see cref="LabHostOptions.Processors"/>).
/// </summary>
[Collection(nameof(OnMachineHost))]
public sealed class MachineProcessorTests
{
    /// <summary>Where time is not real a kernel may wait for long: for a processor's turn, for a lock that another holds.</summary>
    internal const string Patient = $"{MachineTests.Sane} nowatchdog rcupdate.rcu_cpu_stall_timeout=300";

    /// <summary>In a guest: what its kernel found wrong.</summary>
    internal const string Complaints =
        "dmesg | grep -E 'WARNING|BUG:|Oops|Call Trace|unchecked MSR|hung task|self-detected stall'";

    [Theory]
    [InlineData("6.1", 1)]
    [InlineData("6.1", 2)]
    [InlineData("6.1", 4)]
    [InlineData("cloud", 1)]
    [InlineData("cloud", 2)]
    [InlineData("cloud", 4)]
    [InlineData("minimal", 1)]
    [InlineData("minimal", 2)]
    [InlineData("minimal", 4)]
    [InlineData("minimal", 16)]
    public void Each_kernel_boots_to_its_program_on_each_number_of_processors(string kernel, int processors)
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        string file = kernel switch
        {
            "6.1" => MachineTests.PackagedKernel,
            "cloud" => MachineKernel.Cloud,
            _ => MachineKernel.Minimal,
        };
        string program = Laboratory.Compiled("processors");
        string root = MachineRoot.With($"processors-{kernel}-{processors}", program);
        Outcome outcome = Laboratory.MachineHost.Run(
            [
                Laboratory.SandboxInLab, "run", "--kernel", file, "--root", root, "--memory", "256M", "--cpus", $"{processors}",
                "--append", Patient, "--", "sh", "-c", $"nproc; {program} 200; {Complaints}; exit 5",
            ],
            limit: TimeSpan.FromSeconds(280));
        Assert.True(outcome.Status == 5, outcome.ToString());
        int threads = Math.Max(processors, 2);
        Assert.Equal(
            $"{processors}\n{processors} processors, {threads} threads, {threads * 200} steps\n", outcome.Text);
    }

    /// <summary>
    /// The guest's time is the host's, by KVM's clock; and its processor is what the result record says: no nested
    /// virtualization, no host's brand, a hypervisor of KVM's interface.
    /// </summary>
    [Fact]
    public void The_clock_is_KVMs_and_CPUID_is_what_the_record_says()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        Outcome outcome = Laboratory.MachineHost.Run(["sh", "-c",
            $"""
            {Laboratory.SandboxInLab} run --kernel {MachineTests.PackagedKernel} --root {MachineRoot.With("clock")} --memory 256M \
                --append '{Patient}' --json result -- sh -c '
                cat /sys/devices/system/clocksource/clocksource0/current_clocksource
                dmesg | grep -o "kvm-clock: Using msrs 4b564d01 and 4b564d00"
                dmesg | grep -o "Hypervisor detected: KVM"
                grep -o "model name.*" /proc/cpuinfo
                grep -c -w -E "svm|vmx" /proc/cpuinfo
                {Complaints.Replace('\'', '"')}; date +%s' && date +%s
            cat result >&2
            """], limit: TimeSpan.FromSeconds(170));
        string[] lines = outcome.Text.TrimEnd('\n').Split('\n');
        Assert.True(lines.Length == 7, outcome.ToString());
        Assert.Equal(
            [
                "kvm-clock", "kvm-clock: Using msrs 4b564d01 and 4b564d00", "Hypervisor detected: KVM",
                "model name\t: sandbox virtual CPU", "0",
            ],
            lines[..5]);
        Assert.InRange(
            long.Parse(lines[6], CultureInfo.InvariantCulture) - long.Parse(lines[5], CultureInfo.InvariantCulture), 0, 60);
        JsonElement[] cpuid = [.. JsonDocument.Parse(outcome.ErrorText[outcome.ErrorText.IndexOf('{')..]).RootElement
            .GetProperty("cpuid").EnumerateArray()];
        Assert.Equal(("0x40000001", "0x4b4d564b"), (Of("0x40000000", "eax"), Of("0x40000000", "ebx")));
        Assert.Equal(0ul, Convert.ToUInt64(Of("0x80000001", "ecx"), 16) & (1 << 2));
        Assert.DoesNotContain(cpuid, each => each.GetProperty("leaf").GetString() == "0x8000000a");

        string Of(string leaf, string register) =>
            cpuid.First(each => each.GetProperty("leaf").GetString() == leaf).GetProperty(register).GetString()!;
    }
}
