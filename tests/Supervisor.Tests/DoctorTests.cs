using Sandbox.Host;
using Sandbox.Supervisor.Doctor;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests;

public class DoctorTests
{
    static readonly KvmFacts s_healthy = new()
    {
        OpenError = 0,
        Node = (0x1b0, 104),
        ApiVersion = KvmRequirement.ApiVersion,
        Answers = [.. KvmRequirement.All.Select(need => need.Bits == 0 ? 1 : need.Bits | 64)],
        CreateError = 0,
        Vmx = true,
        Svm = false,
        UnderHypervisor = false,
    };

    static Finding Of(KvmFacts facts, string subject) => Assert.Single(KvmDiagnosis.Of(facts), finding => finding.Subject == subject);

    [Fact]
    public void AHealthyHostMissesNothing() =>
        Assert.All(KvmDiagnosis.Of(s_healthy), finding => Assert.Equal((Verdict.Ok, null), (finding.Verdict, finding.Fix)));

    [Fact]
    public void TheKindIsToldByWhatTheCpuShows()
    {
        Assert.Contains("Intel", Of(s_healthy, "kind of KVM").Detail, StringComparison.Ordinal);
        Assert.Contains("AMD", Of(s_healthy with { Vmx = false, Svm = true }, "kind of KVM").Detail, StringComparison.Ordinal);
        Assert.Contains("paravirtual", Of(s_healthy with { Vmx = false }, "kind of KVM").Detail, StringComparison.Ordinal);
        Assert.Equal(Verdict.Missing, Of(s_healthy with { OpenError = ENOENT }, "kind of KVM").Verdict);
    }

    [Theory]
    [InlineData(ENOENT, true, false, "modprobe kvm_intel")]
    [InlineData(ENODEV, false, true, "modprobe kvm_amd")]
    [InlineData(ENOENT, false, false, "BIOS")]
    [InlineData(EACCES, true, false, "usermod -aG")]
    [InlineData(EBUSY, true, false, "another hypervisor")]
    [InlineData(EIO, true, false, "dmesg")]
    public void ADeviceThatCannotBeOpenedComesWithAdvice(int error, bool vmx, bool svm, string advice)
    {
        Finding finding = Of(s_healthy with { OpenError = error, Vmx = vmx, Svm = svm }, "/dev/kvm");
        Assert.Equal(Verdict.Missing, finding.Verdict);
        Assert.Contains(advice, finding.Fix, StringComparison.Ordinal);
        Assert.Contains(Errno.Name(error), finding.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void AGuestOfAnotherHypervisorIsToldSo() =>
        Assert.Contains("nested virtualization",
            Of(s_healthy with { OpenError = ENOENT, Vmx = false, UnderHypervisor = true }, "/dev/kvm").Fix, StringComparison.Ordinal);

    [Fact]
    public void ADeviceOfRootsOwnNeedsAGroupFirst()
    {
        Assert.Contains("chgrp kvm", Of(s_healthy with { OpenError = EACCES, Node = (0x180, 0) }, "/dev/kvm").Fix, StringComparison.Ordinal);
        Assert.Contains("chgrp kvm", Of(s_healthy with { OpenError = EACCES, Node = (0x180, 104) }, "/dev/kvm").Fix, StringComparison.Ordinal);
        // Whatever that group is called.
        Assert.Equal("join its group: sudo usermod -aG \"$(stat -c %G /dev/kvm)\" \"$USER\", and log in again",
            Of(s_healthy with { OpenError = EACCES }, "/dev/kvm").Fix);
    }

    [Fact]
    public void EachCapabilityIsALineOfItsOwn()
    {
        for (int i = 0; i < KvmRequirement.All.Count; i++)
        {
            int[] answers = [.. s_healthy.Answers];
            foreach (int lacking in new[] { 0, -EINVAL, KvmRequirement.All[i].Bits == 0 ? 0 : 1 })
            {
                answers[i] = lacking;
                Finding[] findings = [.. KvmDiagnosis.Of(s_healthy with { Answers = answers })];
                Finding missing = Assert.Single(findings, finding => finding.Verdict == Verdict.Missing);
                Assert.Equal(KvmRequirement.All[i].Name, missing.Subject);
                Assert.NotNull(missing.Fix);
            }
        }
    }

    [Fact]
    public void AnotherApiAndARefusedVmAreMissing()
    {
        Assert.Equal(Verdict.Missing, Of(s_healthy with { ApiVersion = 11 }, "KVM API version").Verdict);
        Finding busy = Of(s_healthy with { CreateError = EBUSY }, "creating a VM");
        Assert.Equal(Verdict.Missing, busy.Verdict);
        Assert.Contains("VirtualBox", busy.Fix, StringComparison.Ordinal);
    }

    [Fact]
    public void RatesOfDisksThatCannotBeHadComeWithAdvice()
    {
        Assert.Equal(Verdict.Ok, CgroupDiagnosis.OfDisks(null, isRoot: true).Verdict);
        Finding lacking = CgroupDiagnosis.OfDisks("no controller for io", isRoot: false);
        Assert.Equal(Verdict.Note, lacking.Verdict);
        Assert.Contains("no controller for io", lacking.Detail, StringComparison.Ordinal);
        Assert.Contains("systemd-run --user --scope", lacking.Fix, StringComparison.Ordinal);
    }

    [Fact]
    public void TheReportEndsWithTheAnswer()
    {
        string well = Examination.Report([new Finding("a", Verdict.Ok, "b"), new Finding("c", Verdict.Note, "d", "e")]);
        Assert.EndsWith("\nGuests can run here.\n", well, StringComparison.Ordinal);
        string ill = Examination.Report([new Finding("a", Verdict.Missing, "b", "do this")]);
        Assert.Contains("MISSING  a", ill, StringComparison.Ordinal);
        Assert.Contains("fix: do this", ill, StringComparison.Ordinal);
        Assert.EndsWith("\nGuests cannot run here until what is MISSING is fixed.\n", ill, StringComparison.Ordinal);
    }

    [Fact]
    public void TheRealHostIsExamined()
    {
        using var commandLine = new CommandLineProcess("true", launches: false);
        (int status, string output, string error) = commandLine.Run("doctor");
        Assert.Equal("", error);
        bool usable = KvmFacts.Ask().OpenError == 0;
        Assert.Equal(usable ? 0 : 1, status);
        Assert.Contains("jail around the VMM", output, StringComparison.Ordinal);
        Assert.Contains("cgroups ", output, StringComparison.Ordinal);
        Assert.Contains(usable ? "rates of disks" : "not tried", output, StringComparison.Ordinal);
    }
}
