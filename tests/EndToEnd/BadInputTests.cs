using Sandbox.EndToEnd.Harness;
using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd;

/// <summary>Programs, flags and hosts that cannot work: one line, the documented status, nothing left behind.</summary>
public sealed class BadInputTests
{
    public static TheoryData<string> WrongFiles() => [.. ElfFile.Wrong.Keys];

    [Fact]
    public void The_correct_ELF_that_the_wrong_ones_are_made_from_runs() =>
        Assert.Equal("hello\n", RunFile(ElfFile.Correct().ToArray()).Ended(0).Text);

    [Theory]
    [MemberData(nameof(WrongFiles))]
    public void File_is_not_executable(string what)
    {
        Outcome outcome = RunFile(ElfFile.Wrong[what]()).Clean();
        // A missing interpreter may be told as "not found", as a shell does; all else is "not executable".
        Assert.True(outcome.Status == 126 || (outcome.Status == 127 && what.Contains("interpreter")) || (outcome.Status == 127 && what.StartsWith("#!", StringComparison.Ordinal)),
            $"expected status 126\n{outcome}");
        outcome.Says("/bad/program");
        Assert.Empty(outcome.Output);
    }

    /// <summary>
    /// From inside the guest the same files fail as natively, with the same errno; only where Linux begins to load a
    /// contradictory file and then kills the process may the guest refuse it first.
    /// </summary>
    [Theory]
    [MemberData(nameof(WrongFiles))]
    public void File_fails_from_inside_as_natively(string what)
    {
        Tool.Need("/usr/bin/python3");
        string script = """
            import errno, os, sys
            child = os.fork()
            if child == 0:
                try:
                    os.execv("./program", ["program"])
                except OSError as error:
                    print(errno.errorcode[error.errno], flush=True)
                    os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            """;
        string folder = Case.NewFolder("bad");
        WriteProgram(folder, ElfFile.Wrong[what]());
        string native = Native.Run(["/usr/bin/python3", "-c", script], folder).Text;
        string guest = SandboxRun.Run(["--mount", $"{folder}:/work", "--workdir", "/work", "--user", SandboxRun.User],
            ["/usr/bin/python3", "-c", script]).Ended(0).Text;
        if (native is "-11\n" or "EIO\n0\n" && guest == "ENOEXEC\n0\n")
            return;
        Assert.Equal(native, guest);
    }

    [Fact]
    public void A_folder_is_named_as_such_and_is_EACCES_from_inside()
    {
        SandboxRun.Run([], ["/usr/share"]).Ended(126).Says("'/usr/share' cannot be executed: it is a folder");
        RunFile("#!/usr/share\n"u8.ToArray()).Ended(126).Says("it is a folder");
        Tool.Need("/usr/bin/python3");
        Assert.Equal("13\n13\n", SandboxRun.Run([], ["/usr/bin/python3", "-c", """
            import os
            open("/tmp/s", "w").write("#!/usr/share\n")
            os.chmod("/tmp/s", 0o755)
            for path in "/usr/share", "/tmp/s":
                try:
                    os.execv(path, ["x"])
                except OSError as error:
                    print(error.errno)
            """]).Ended(0).Text);
    }

    [Fact]
    public void An_aarch64_program_is_named_as_such() =>
        RunFile(ElfFile.Wrong["aarch64"]()).Ended(126).Says("/bad/program", "architecture");

    [Theory]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(100)]
    [InlineData(1000)]
    [InlineData(4096)]
    [InlineData(8000)]
    public void A_real_program_cut_short_does_not_harm_the_sandbox(int length)
    {
        byte[] whole = File.ReadAllBytes("/usr/bin/env");
        Outcome outcome = RunFile(whole[..length]).Clean();
        Assert.True(outcome.Status is 126 or 127 or 139 or 135, outcome.ToString());
    }

    [Fact]
    public void Overlapping_segments_are_refused() =>
        RunFile(ElfFile.Correct(2).Segment(1, 1, 6, 0, 0x400000, 4096, 8192).ToArray()).Ended(126).Says("/bad/program", "segments");

    [Fact]
    public void An_entry_point_outside_every_segment_does_as_natively() => Same(ElfFile.Correct().Set64(24, 0x10).ToArray());

    [Fact]
    public void A_segment_without_any_permission_does_as_natively() =>
        Same(ElfFile.Correct().Segment(0, 1, 0, 0, 0x400000, 4096, 4096).ToArray());

    [Fact]
    public void A_segment_beyond_the_end_of_the_file_is_refused() =>
        RunFile(ElfFile.Correct(2).Segment(1, 1, 6, 1 << 20, 0x600000, 4096, 4096).ToArray()).Ended(126).Says("/bad/program", "cut short");

    [Fact]
    public void A_zeroed_segment_larger_than_the_guest_is_not_executable_or_killed()
    {
        // 64 GiB of zeroes are promised, none is touched: as natively this runs.
        Outcome outcome = RunFile(ElfFile.Correct(2).Segment(1, 1, 6, 0, 0x1000000, 0, 64UL << 30).ToArray()).Clean();
        Assert.True(outcome.Status is 0 or 126, outcome.ToString());
    }

    /// <summary>Linux looks at the machine alone, not at class and byte order; being stricter is allowed.</summary>
    [Theory]
    [InlineData(4, 1)]
    [InlineData(5, 2)]
    public void A_contradictory_identification_runs_or_is_refused(int offset, byte value)
    {
        Outcome outcome = RunFile(ElfFile.Correct().Set8(offset, value).ToArray()).Clean();
        Assert.True(outcome.Status is 0 or 126, outcome.ToString());
    }

    [Theory]
    [InlineData("--no-such-flag")]
    [InlineData("--memory", "much")]
    [InlineData("--memory", "1K")]
    [InlineData("--memory", "-5")]
    [InlineData("--memory", "99999999999999999999G")]
    [InlineData("--memory", "100T")]
    [InlineData("--cpus", "0")]
    [InlineData("--cpus", "100000")]
    [InlineData("--timeout", "soon")]
    [InlineData("--timeout", "-1s")]
    [InlineData("--processes", "0")]
    [InlineData("--env", "=value")]
    [InlineData("--hostname", "not a name")]
    [InlineData("--user", "-1")]
    [InlineData("--user", "a:b:c")]
    [InlineData("--workdir", "relative")]
    [InlineData("--mount", "/nonexistent")]
    [InlineData("--mount", "/nonexistent:/x:rw")]
    [InlineData("--mount", "/dev/null")]
    [InlineData("--mount", "/dev/kvm:/kvm:rw")]
    [InlineData("--mount", "/proc:/p")]
    [InlineData("--mount", "/usr:relative")]
    [InlineData("--mount", "/usr:/x:rx")]
    [InlineData("--mount", "")]
    [InlineData("--handoff", "maybe")]
    [InlineData("--json", "/nonexistent/folder/file")]
    [InlineData("--tmp-size", "999G")]
    [InlineData("--output-limit", "0")]
    public void A_wrong_flag_is_refused_in_one_line(params string[] flags)
    {
        Outcome outcome = SandboxRun.Run(flags, ["true"]).Ended(125).Says(flags[0]);
        Assert.Empty(outcome.Output);
    }

    [Theory]
    [InlineData("run")]
    [InlineData("run", "--")]
    [InlineData("run", "--", "")]
    [InlineData("frobnicate")]
    [InlineData("run", "program-without-dashes")]
    public void A_wrong_command_line_is_refused_in_one_line(params string[] arguments) =>
        SandboxRun.Command(arguments).Ended(125).Says();

    [Fact]
    public void More_memory_than_the_host_has_is_refused() =>
        SandboxRun.Run(["--memory", "251G"], ["true"]).Ended(125).Says("memory", "more than this host");

    [Fact]
    public void More_memory_than_the_control_group_has_is_refused_and_the_default_fits_into_it()
    {
        Assert.SkipUnless(geteuid() == 0, "making a control group takes root");
        SandboxRun.Need();
        RunInGroup("--memory 600M").Ended(125).Says("--memory", "control group", "512 MiB");
        Assert.Matches("^MemTotal: +262144 kB\n$", RunInGroup("").Ended(0).Text);
    }

    /// <summary>In a new control group of 512 MiB.</summary>
    private static Outcome RunInGroup(string flags)
    {
        bool unified = File.Exists("/sys/fs/cgroup/cgroup.controllers");
        string group = $"/sys/fs/cgroup{(unified ? "" : "/memory")}/sandbox-test-{Environment.ProcessId}";
        string limit = Path.Combine(group, unified ? "memory.max" : "memory.limit_in_bytes");
        try
        {
            if (unified)
                File.WriteAllText("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
            Directory.CreateDirectory(group);
            File.WriteAllText(limit, "536870912");
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            Assert.Skip($"no control group can be made here: {refused.Message}");
        }
        try
        {
            var environment = new Dictionary<string, string> { ["SANDBOX"] = Ring.Sandbox, ["GROUP"] = group };
            return Native.Run(
                ["sh", "-ec", $"echo $$ > \"$GROUP\"/cgroup.procs; exec \"$SANDBOX\" run {flags} -- head -1 /proc/meminfo"],
                "/", environment: environment);
        }
        finally
        {
            // A supervisor that is alone in a group of version 2 moves below, and cannot remove where it is itself.
            foreach (string below in Directory.GetDirectories(group))
                Directory.Delete(below);
            Directory.Delete(group);
        }
    }

    [Fact]
    public void A_device_a_fifo_and_a_socket_are_no_mounts()
    {
        string fifo = Path.Combine(Case.NewFolder("mount"), "fifo");
        Native.Run(["mkfifo", fifo], "/");
        SandboxRun.Run(["--mount", $"{fifo}:/x"], ["true"]).Ended(125).Says("--mount");
    }

    [Fact]
    public void Arguments_too_long_for_exec_are_refused()
    {
        string[] many = [.. Enumerable.Repeat(new string('x', 100_000), 15)];
        Outcome outcome = SandboxRun.Run([], ["true", .. many]).Clean();
        Assert.True(outcome.Status is 0 or 126, outcome.ToString());
    }

    [Fact]
    public void Without_dev_kvm_there_is_one_line_with_advice()
    {
        Assert.SkipUnless(geteuid() == 0, "hiding /dev/kvm takes root");
        Tool.Need("unshare");
        SandboxRun.Need();
        Outcome outcome = Native.Run(["unshare", "-m", "sh", "-c",
            "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec \"$SANDBOX\" run -- true"], "/",
            environment: new Dictionary<string, string> { ["SANDBOX"] = Ring.Sandbox });
        outcome.Ended(125).Says("/dev/kvm");
    }

    /// <summary>Each mount of the tree onto a folder within itself doubles their number.</summary>
    [Fact]
    public void A_host_with_32_000_mounts_is_no_hindrance()
    {
        Assert.SkipUnless(geteuid() == 0, "mounts take root");
        Tool.Need("unshare");
        SandboxRun.Need();
        string folder = Case.NewFolder("mounts");
        Outcome outcome = Native.Run(["unshare", "-m", "sh", "-c", """
            mount -t tmpfs none "$1" && mkdir "$1/granted" && echo here > "$1/granted/file" || exit 1
            for i in $(seq 15); do mkdir "$1/$i" && mount -n --rbind "$1" "$1/$i" || exit 1; done
            test "$(wc -l < /proc/self/mountinfo)" -gt 32000 && exec "$SANDBOX" run --mount "$1/granted:/m" -- cat /m/file
            """, "sh", folder], "/", environment: new Dictionary<string, string> { ["SANDBOX"] = Ring.Sandbox });
        Assert.Equal("here\n", outcome.Ended(0).Text);
    }

    [Fact]
    public void Without_permission_for_dev_kvm_there_is_one_line_with_advice()
    {
        Assert.SkipUnless(geteuid() == 0, "another user's view takes root");
        Tool.Need("setpriv");
        SandboxRun.Need();
        Assert.SkipWhen((File.GetUnixFileMode("/dev/kvm") & UnixFileMode.OtherRead) != 0, "everybody may use /dev/kvm here");
        // The binary must be reachable for that user.
        string copy = Case.NewFolder("bin");
        foreach (string file in Directory.GetFiles(Path.GetDirectoryName(Ring.Sandbox)!))
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        Outcome outcome = Native.Run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
            Path.Combine(copy, Path.GetFileName(Ring.Sandbox)), "run", "--", "true"], "/");
        outcome.Ended(125).Says("/dev/kvm", "permission");
    }

    [Fact]
    public void A_KVM_without_a_needed_capability_is_named_in_one_line()
    {
        Tool.Need("gcc");
        SandboxRun.Need();
        // A kernel whose KVM_CHECK_EXTENSION (0xae03) says no to KVM_CAP_XSAVE (55).
        string folder = Case.NewFolder("bin");
        File.WriteAllText(Path.Combine(folder, "without.c"), """
            #include <linux/filter.h>
            #include <linux/seccomp.h>
            #include <stddef.h>
            #include <sys/prctl.h>
            #include <sys/syscall.h>
            #include <unistd.h>
            #define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
            #define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
            int main(int count, char **arguments)
            {
                struct sock_filter code[] = {
                    LOAD(nr), UNLESS(SYS_ioctl, 5), LOAD(args[1]), UNLESS(0xae03, 3), LOAD(args[2]), UNLESS(55, 1),
                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                };
                struct sock_fprog program = { sizeof code / sizeof *code, code };
                if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
                    return 1;
                execv(arguments[1], arguments + 1);
                return 2;
            }
            """);
        Assert.Equal(0, Native.Run(["gcc", "-o", "without", "without.c"], folder).Status);
        Native.Run([Path.Combine(folder, "without"), Ring.Sandbox, "run", "--", "true"], "/").Ended(125).Says("lacks KVM_CAP_XSAVE");
    }

    [Fact]
    public void A_result_record_that_cannot_be_written_is_told_in_one_line() =>
        SandboxRun.Run(["--json", "/dev/full"], ["true"]).Ended(125).Says("--json", "No space left on device");

    static void Same(byte[] file)
    {
        new Case("sh", "-c", "./program; echo \"status $?\"") { Prepare = folder => WriteProgram(folder, file) }.MustMatch();
    }

    static Outcome RunFile(byte[] content)
    {
        string folder = Case.NewFolder("bad");
        WriteProgram(folder, content);
        return SandboxRun.Run(["--mount", $"{folder}:/bad", "--timeout", "20s"], ["/bad/program"]);
    }

    static void WriteProgram(string folder, byte[] content)
    {
        string path = Path.Combine(folder, "program");
        File.WriteAllBytes(path, content);
        File.SetUnixFileMode(path, (UnixFileMode)0b111_101_101);
    }
}
