using System.Text;
using Sandbox.Host;
using Sandbox.Supervisor.Launch;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Doctor;

/// <summary><c>sandbox doctor</c>: looks at this host and says whether a guest can run on it.</summary>
static class Examination
{
    const int SubjectWidth = 24;

    public static int Run()
    {
        Finding[] findings = [.. Host(), .. KvmDiagnosis.Of(KvmFacts.Ask()), Vmm(), s_jail];
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
        return text.Append(missing == 0 ? "Guests can run here.\n" : "Guests cannot run here until what is MISSING is fixed.\n").ToString();
    }

    static readonly Finding s_jail = new("jail around the VMM", Verdict.Note,
        "not built yet: a guest that takes over its VMM has the rights of the user who ran sandbox (see SECURITY.md)",
        "until it exists, run hostile programs as a user of their own that owns nothing");

    static IEnumerable<Finding> Host() =>
    [
        new("kernel", Verdict.Ok, Kernel()),
        new("CPUs and memory", Verdict.Ok, $"{HostThread.AvailableProcessors} CPUs, {HostQuestions.Ask(terminal: false).Memory >> 20} MiB"),
        new("cgroups", Verdict.Ok, Cgroups()),
    ];

    static unsafe string Kernel()
    {
        utsname names;
        return uname(&names) == 0
            ? $"{Text(names.sysname)} {Text(names.release)} {Text(names.machine)}"
            : Errno.Describe(errno);

        static string Text(byte* field) => Encoding.UTF8.GetString(field, new ReadOnlySpan<byte>(field, 65).IndexOf((byte)0));
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
            : new Finding("sandbox-vmm", Verdict.Missing, $"not at {program}", "build it with ./sandbox, or install it beside sandbox");
    }
}
