using System.Text;
using Sandbox.Host;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Launch;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Doctor;

/// <summary><c>sandbox doctor</c>: looks at this host and says whether a guest can run on it.</summary>
static class Examination
{
    const int SubjectWidth = 24;

    public static int Run()
    {
        // Where nothing can be opened, nothing else can be asked.
        Finding[] findings = FileDescriptor.OpeningRefused() is HostException refused
            ?
            [
                Kernel(),
                new("opening files", Verdict.Missing, $"openat2: {Errno.Describe(refused.Errno)}", refused.Advice),
            ]
            : [Kernel(), .. Host(), .. KvmDiagnosis.Of(KvmFacts.Ask()), Vmm(), .. Jail()];
        bool healthy = Array.TrueForAll(findings, finding => finding.Verdict != Verdict.Missing);
        StandardStreams.WriteOutput(Report(findings));
        return healthy ? 0 : 1;
    }

    public static string Report(IReadOnlyCollection<Finding> findings)
    {
        var text = new StringBuilder();
        foreach (Finding finding in findings)
        {
            string verdict = finding.Verdict switch { Verdict.Ok => "ok", Verdict.Note => "note", _ => "MISSING" };
            text.Append($"{verdict,-8} {finding.Subject.PadRight(SubjectWidth)} {finding.Detail}\n");
            if (finding.Fix is not null)
                text.Append(' ', 9 + SubjectWidth).Append($" fix: {finding.Fix}\n");
        }

        int missing = findings.Count(finding => finding.Verdict == Verdict.Missing);
        return text.Append(missing == 0
            ? "Guests can run here.\n"
            : "Guests cannot run here until what is MISSING is fixed.\n").ToString();
    }

    /// <summary>Builds one, as a guest would get it.</summary>
    static Finding[] Jail()
    {
        const string subject = "jail around the VMM";
        if (KvmFacts.Ask().OpenError != 0)
            return [new Finding(subject, Verdict.Note, "not tried, since a VMM is given /dev/kvm")];
        try
        {
            using EarlyVmm early = EarlyVmm.Start();
            VmmProcess vmm = early.Process;
            vmm.Confirm();
            vmm.Limit(s_limits);
            Finding jail = vmm.Jail.Missing == JailWalls.None
                ? new Finding(subject, Verdict.Ok, KernelWalls.Lacking is string lacking
                    ? $"{vmm.Jail} that this kernel has, and it lacks {lacking}"
                    : vmm.Jail.ToString())
                : new Finding(subject, Verdict.Note, vmm.Jail.ToString(), vmm.Jail.Missing == JailWalls.CgroupLimits
                    ? null
                    : "allow unprivileged user namespaces (user.max_user_namespaces, kernel.unprivileged_userns_clone, "
                        + "kernel.apparmor_restrict_unprivileged_userns), or a kernel with Landlock and seccomp "
                        + "filters");
            bool isRoot = geteuid() == 0;
            Finding group = CgroupDiagnosis.Of(vmm.Group, vmm.Jail, isRoot);
            string? lacks = vmm.Group is null ? "no control group" : vmm.Group.LimitDisks([], vmm.Pid);
            return [jail, group, CgroupDiagnosis.OfDisks(lacks, isRoot)];
        }
        catch (HostException failure)
        {
            return [new Finding(subject, Verdict.Missing, failure.Message, failure.Advice)];
        }
    }

    /// <summary>Any that a guest could have.</summary>
    static readonly GroupLimits s_limits = new(1UL << 30, Cpus: 1, Weight: 100, Processes: 100);

    static IEnumerable<Finding> Host() =>
    [
        new("CPUs and memory", Verdict.Ok,
            $"{HostThread.AvailableProcessors} CPUs, {HostQuestions.Ask(terminal: false).Memory >> 20} MiB"),
        new("cgroups", Verdict.Ok, Cgroups()),
    ];

    static unsafe Finding Kernel()
    {
        utsname names;
        return new Finding("kernel", Verdict.Ok, uname(&names) == 0
            ? $"{Text(names.sysname)} {Text(names.release)} {Text(names.machine)}"
            : Errno.Describe(errno));

        static string Text(byte* field) =>
            Encoding.UTF8.GetString(field, new ReadOnlySpan<byte>(field, 65).IndexOf((byte)0));
    }

    static unsafe string Cgroups()
    {
        const string root = "/sys/fs/cgroup";
        if (FileDescriptor.TryOpen(root, O_PATH | O_DIRECTORY, 0, out FileDescriptor? folder) != 0)
            return "none mounted";
        using (folder)
        {
            statfs status;
            if (fstatfs(folder!.Value, &status) != 0)
                return Errno.Describe(errno);
            if (status.f_type == CGROUP2_SUPER_MAGIC)
                return "version 2";
            return Directory.Exists(root + "/unified") ? "version 1, with a version 2 tree beside it" : "version 1";
        }
    }

    static Finding Vmm()
    {
        string program = EarlyVmm.ProgramPath;
        return File.Exists(program)
            ? new Finding("sandbox-vmm", Verdict.Ok, program)
            : new Finding("sandbox-vmm", Verdict.Missing, $"not at {program}",
                "build it with ./sandbox, or install it beside sandbox");
    }
}
