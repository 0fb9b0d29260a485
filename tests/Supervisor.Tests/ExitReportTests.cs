using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Planning;
using Xunit;

namespace Sandbox.Supervisor.Tests;

public class ExitReportTests
{
    static LaunchPlan Plan { get; } = PlanBuilder.Build(
        new RunOptions { Arguments = ["prog\x1bram"], Timeout = 10_000, CpuTime = 5_000, OutputLimit = 1 << 20 }, FakeHost.DefaultPolicy,
        new FakeHost().Facts, [], null, 0).Plan;

    static (int Status, string? Line) Ended(EndCause cause, long value = 0, long detail = 0) =>
        ExitReport.For(Plan, new Outcome.Ended(cause, 0, value, detail));

    static void Says(int status, string part, (int Status, string? Line) report)
    {
        Assert.Equal(status, report.Status);
        Assert.Contains(part, report.Line, StringComparison.Ordinal);
        Assert.DoesNotContain(report.Line!, char.IsControl);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(137)]
    [InlineData(255)]
    public void AProgramsOwnStatusPassesWithoutAWord(int status) => Assert.Equal((status, null), Ended(EndCause.Exited, status));

    [Fact]
    public void EveryCauseHasItsStatusAndItsLine()
    {
        Says(139, "ended by signal 11 (SIGSEGV)", Ended(EndCause.Signaled, 11));
        Says(137, "ended by signal 9 (SIGKILL)", Ended(EndCause.Signaled, 9));
        Says(162, "ended by signal 34", Ended(EndCause.Signaled, 34));
        Says(124, "the time limit of 10 s was reached (--timeout)", Ended(EndCause.WallTimeLimit));
        Says(124, "the CPU time limit of 5 s was reached (--cpu-time)", Ended(EndCause.CpuTimeLimit));
        Says(137, "the memory limit of 1 GiB was reached (--memory)", Ended(EndCause.MemoryLimit));
        Says(153, "the output limit of 1 MiB was reached (--output-limit)", Ended(EndCause.OutputLimit));
        Says(127, "'prog\\x1bram' was not found in the guest's PATH", Ended(EndCause.NotFound, Libc.ENOENT));
        var machine = new GuestMachine
        {
            Kernel = 0, Initrd = 0, CommandLine = "", Disks = [], Taps = [], Agent = true, Random = null, Vsock = -1, Balloon = false, VirtioConsole = false,
        };
        Says(127, "the guest sees only what its image (--root) holds", ExitReport.For(
            Plan with { Machine = machine }, new Outcome.Ended(EndCause.NotFound, 0, Libc.ENOENT, 0)));
        Says(126, "cannot be executed", Ended(EndCause.NotExecutable, Libc.ENOEXEC, (long)ExecFailure.WrongArchitecture));
        Assert.Equal((0, null), Ended(EndCause.PoweredOff));
        Says(120, "reset itself", Ended(EndCause.Rebooted));
        Says(121, "panicked", Ended(EndCause.KernelPanic));
        Says(122, "triple fault", Ended(EndCause.TripleFault));
        Says(125, "--kernel: the ELF kernel has no PVH entry", Ended(EndCause.BadKernel, Libc.EINVAL, (long)BootProblem.NoPvhEntry));
        Says(125, "start it once with :rw", Ended(EndCause.Failed, Libc.EROFS, (long)VmmFailure.GuestRoot));
        Says(125, "no hardware virtualization", Ended(EndCause.Failed, Libc.ENODEV, (long)VmmFailure.NoMachineGuests));
        Says(125, "sandbox doctor", Ended(EndCause.Failed, Libc.ENOENT, (long)VmmFailure.KvmCall));
        Says(125, "lacks KVM_CAP_XSAVE (vector registers)", ExitReport.For(Plan, new Outcome.Ended(
            EndCause.Failed, (uint)KvmAbi.KVM_CAP_XSAVE, Libc.ENOSYS, (long)VmmFailure.KvmCapability)));
    }

    [Fact]
    public void EveryExecFailureAndVmmFailureIsExplained()
    {
        string[] lines =
        [
            .. Enum.GetValues<ExecFailure>().Select(failure => Ended(EndCause.NotExecutable, Libc.EACCES, (long)failure).Line!),
            .. Enum.GetValues<BootProblem>().Select(problem => Ended(EndCause.BadKernel, Libc.EINVAL, (long)problem).Line!),
            .. Enum.GetValues<VmmFailure>().Select(failure => Ended(EndCause.Failed, Libc.EACCES, (long)failure).Line!),
        ];
        Assert.Equal(lines.Length, lines.Distinct().Count());
        Assert.All(lines, line => Assert.DoesNotContain(line, char.IsControl));
    }

    [Theory]
    [InlineData(EndCause.Exited, 256, 0)]
    [InlineData(EndCause.Exited, -1, 0)]
    [InlineData(EndCause.Exited, long.MinValue, 0)]
    [InlineData(EndCause.Signaled, 0, 0)]
    [InlineData(EndCause.Signaled, 65, 0)]
    [InlineData(EndCause.Signaled, long.MaxValue, 0)]
    [InlineData(EndCause.None, 0, 0)]
    [InlineData((EndCause)10, 0, 0)]
    [InlineData((EndCause)uint.MaxValue, -1, -1)]
    [InlineData(EndCause.Failed, long.MinValue, long.MaxValue)]
    [InlineData(EndCause.Failed, 0, -1)]
    public void WhatAFallenVmmMakesUpIsOurFailure(EndCause cause, long value, long detail)
    {
        (int status, string? line) = Ended(cause, value, detail);
        Assert.Equal(ExitStatus.SandboxFailed, status);
        Assert.DoesNotContain(line!, char.IsControl);
    }

    [Fact]
    public void AForbiddenCallIsNamed()
    {
        static Outcome.Ended At(long number, uint first, uint second) => new(
            EndCause.Failed, second, (long)first << 32 | (uint)number, (long)VmmFailure.ForbiddenCall);
        Says(125, "the system call ioctl(0x4, 0xae01, ...)", ExitReport.For(Plan, At(Libc.SYS_ioctl, 4, 0xae01)));
        Says(125, "the system call execve(0xffffffff, 0x0, ...)", ExitReport.For(Plan, At(Libc.SYS_execve, uint.MaxValue, 0)));
        Says(125, "the system call -1(0x0, 0x0, ...)", ExitReport.For(Plan, At(-1, 0, 0)));
    }

    [Theory]
    [InlineData(EndCause.NotFound)]
    [InlineData(EndCause.NotExecutable)]
    public void MadeUpErrorNumbersAreHarmless(EndCause cause)
    {
        foreach (long number in new[] { long.MinValue, -1, 0, 4096, long.MaxValue })
            Assert.InRange(Ended(cause, number, number).Status, 126, 127);
    }

    [Fact]
    public void TheSupervisorsOwnEndsAreExplained()
    {
        Says(125, "signal 11 (SIGSEGV)", ExitReport.For(Plan, new Outcome.VmmDied(11)));
        Says(125, "exit status 3", ExitReport.For(Plan, new Outcome.VmmDied(3 << 8)));
        Says(125, "not known", ExitReport.For(Plan, new Outcome.VmmDied(null)));
        Says(125, "refused it more than 74 threads",
            ExitReport.For(Plan, new Outcome.VmmDied(3 << 8) { ProcessLimit = 74 }));
        Says(ExitStatus.MemoryLimit, "control group's limit of 90 MiB", ExitReport.For(Plan, new Outcome.HostMemoryLimit(90 << 20)));
        Says(125, "within 30 s", ExitReport.For(Plan, new Outcome.VmmSilent()));
        Says(125, "did a thing", ExitReport.For(Plan, new Outcome.VmmMisbehaved("did a thing")));
        Says(124, "by force", ExitReport.For(Plan, new Outcome.WallTimeEnforced()));
        Says(130, "interrupted twice", ExitReport.For(Plan, new Outcome.Interrupted(2)));
    }
}
