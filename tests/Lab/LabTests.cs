using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>Process guests with hardware virtualization: programs natively and in a guest of the lab host.</summary>
public sealed class LabTests
{
    /// <summary>What depends most on page tables, exceptions and the gate.</summary>
    static readonly string[] s_programs =
    [
        "hello-static", "hello-static-pie", "hello-dynamic", "exceptions-dynamic", "gate", "guardpage", "altstack",
        "signals", "threads", "futex", "mappings", "cow", "forkthreads",
    ];

    static readonly string[] s_morePrograms =
    [
        "hello-dynamic-nopie", "exceptions-static", "threads-static", "signals-static", "vfork", "events", "pipes",
        "polling", "sockets", "clocks", "random", "descriptors", "sessions", "terminal", "files", "locks",
        "directories", "processes", "procfs", "segments",
    ];

    public static TheoryData<string> Programs => [.. s_programs, .. Laboratory.All ? s_morePrograms : []];

    [Fact]
    public void Doctor_sees_hardware_virtualization()
    {
        Outcome outcome = Laboratory.Host.Run([Laboratory.SandboxInLab, "doctor"]);
        Assert.True(outcome.Status == 0 && outcome.Text.Contains("hardware (AMD-V)"), outcome.ToString());
        if (outcome.Text.Contains("Linux 6.1."))
            Assert.Contains("it lacks a time namespace, from Linux 6.2 on; memory deny-write-execute, from 6.3 on; Landlock's hold on truncation, from 6.2 on", outcome.Text);
    }

    [Fact]
    public void Results_come_back_exactly()
    {
        Outcome outcome = Laboratory.Host.Run(
            ["sh", "-c", "cat; printf '%s' \"$1\" >&2; exit 42", "-", "two  words'\n"], [0, 255, 10, 13, 0]);
        Assert.Equal(42, outcome.Status);
        Assert.Equal([0, 255, 10, 13, 0], outcome.Output);
        Assert.Equal("two  words'\n"u8.ToArray(), outcome.Error);
    }

    [Fact]
    public void Busybox_and_its_status() =>
        MustMatch(Laboratory.Host, ["/bin/busybox", "sh", "-c", "echo out; echo err >&2; exit 3"], status: 3);

    [Fact]
    public void Python_says_hello() => MustMatch(Laboratory.Host,
        ["/usr/bin/python3", "-c", "import platform; print(\"hello from\", platform.machine())"]);

    [Theory]
    [MemberData(nameof(Programs))]
    public void Program_behaves_as_natively(string program) => MustMatch(
        Laboratory.Host, [$"@guests/{program}", .. program == "procfs" ? ["one", "two words"] : Array.Empty<string>()]);

    [Fact]
    public void Threads_behave_as_natively_on_two_processors()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a host of its own: ./test --lab-all");
        using LabHost host = new(new LabHostOptions { Name = "two", Processors = 2 });
        string[] programs = ["threads", "threads-static", "futex", "signals", "mappings", "cow", "forkthreads"];
        foreach (string program in programs)
            MustMatch(host, [$"@guests/{program}"]);
    }

    /// <summary>
    /// Two faults are not as on a processor. QEMU 7.2 reads the stack for a far return at CPL 3 as if the kernel did,
    /// which SMAP forbids: this lab host has none. And it raises no vector exceptions: that check fails natively too.
    /// </summary>
    [Fact]
    public void Faults_behave_as_natively()
    {
        Laboratory.Need();
        using LabHost host = new(new LabHostOptions { Name = "nosmap", Processor = ["-smap"] });
        MustMatch(host, ["@guests/faults"], status: 1);
    }

    /// <summary>The unit tests of this project's ring 0, vCPUs and address spaces.</summary>
    [Fact]
    public void Kvm_unit_tests_pass()
    {
        const string program = "tests/Vmm.Tests/bin/Debug/net10.0/linux-x64/Sandbox.Vmm.Tests";
        Laboratory.Need();
        Assert.True(File.Exists(Path.Combine(Laboratory.Root, program)), $"{program} has not been built");
        Outcome outcome = Laboratory.Host.Run(
            [
                $"{LabHost.Repository}/{program}", "-noColor", "-noLogo", "-class", "Sandbox.Vmm.Tests.Kvm.*",
                // For hosts whose SYSCALL stays at CPL 3, which this one is not.
                "-class-", "Sandbox.Vmm.Tests.Kvm.HandoffTests",
            ],
            limit: TimeSpan.FromSeconds(170));
        Assert.True(outcome.Status == 0 && outcome.Text.Contains("Failed: 0, Skipped: 0,"), outcome.ToString());
        Assert.DoesNotContain("Total: 0,", outcome.Text);
    }

    static void MustMatch(LabHost host, string[] command, int status = 0)
    {
        string[] Words(string guests) => [.. command.Select(word => word.Replace("@guests", guests))];
        byte[] input = "one\ntwo\n"u8.ToArray();
        TimeSpan limit = TimeSpan.FromSeconds(Laboratory.All ? 280 : 100);
        Outcome native = host.Run(Words(Laboratory.GuestsInLab), input, limit);
        Assert.True(native.Status == status, $"the native run must end with {status}\n{native}");
        Outcome guest = host.Run(
            [
                Laboratory.SandboxInLab, "run", "--user", "0:0", "--mount", $"{Laboratory.GuestsInLab}:/guests",
                "--workdir", "/tmp", "--", .. Words("/guests"),
            ],
            input, limit);
        string? difference = Difference.Between(native.Output, guest.Output)
            ?? (native.Status == guest.Status ? null : $"status {native.Status} natively, {guest.Status} in the guest");
        Assert.True(difference is null, $"{difference}\nthe guest's run was\n{guest}");
    }
}
