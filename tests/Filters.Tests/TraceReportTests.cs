using Xunit;

namespace Sandbox.Filters.Tests;

public sealed class TraceReportTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("trace").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private TraceReport Read(params (int Thread, string Lines)[] threads)
    {
        foreach ((int thread, string lines) in threads)
            File.WriteAllText(Path.Combine(_folder, $"t.{thread}"), lines);
        TraceReport report = new();
        report.Read(_folder);
        return report;
    }

    [Fact]
    public void CountsWhatTheThreadsOfAVmmDoBehindItsWalls()
    {
        TraceReport report = Read(
            (100, """
            execve(0x7ffc, 0x7ffc, 0x7ffc) = 0
            socket(0x1, 0x1, 0) = 3
            clone(0x3d0f00, 0x7f00, 0x7f00, 0x7f00, 0x7f00) = 101
            landlock_restrict_self(0x6, 0) = 0
            socket(0x2, 0x1, 0) = -1 EACCES (Permission denied)
            clone3(0x7fff22cb8940, 0x58)            = 0x67
            openat2(0x5, 0x7f00, 0x7f00, 0x18) = 7
            syscall_0x1c4(0x5, 0x7f00, 0x1a4, 0x100) = 0
            """),
            (101, """
            futex(0x7f00, 0x80, 0, 0) = 0
            landlock_restrict_self(0x6, 0) = 0
            tgkill(0x64, 0x65, 0x23) = 0
            mmap(0, 0x1000, 0x5, 0x22, 0xffffffff, 0) = 0x7f00
            exit_group(0) = ?
            """),
            (102, "bpf(0, 0, 0) = 5"),
            (103, """
            landlock_restrict_self(0x6, 0) = 0
            getdents64(0x7, 0x7f00, 0x1000) = 0
            """));
        Assert.Equal(["mmap: mmap(0, 0x1000, 0x5, 0x22, 0xffffffff, 0) = 0x7f00",
            "socket: socket(0x2, 0x1, 0) = -1 EACCES (Permission denied)"], report.Forbidden);
        string[] used = [.. RuleTable.All.Except(report.Unused).Select(rule => rule.Name).Order(StringComparer.Ordinal)];
        Assert.Equal(["SYS_clone3", "SYS_exit_group", "SYS_fchmodat2", "SYS_getdents64", "SYS_openat2", "SYS_tgkill"], used);
    }

    [Fact]
    public void WithoutAVmmEveryRowIsUnused() =>
        Assert.Equal(RuleTable.All, Read((1, "execve(0x1, 0x2, 0x3) = 0\nfutex(0x7f00, 0x80, 0, 0) = 0")).Unused);
}
