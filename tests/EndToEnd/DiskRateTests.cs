using System.Diagnostics;
using System.Text.Json;
using Sandbox.EndToEnd.Harness;
using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd;

/// <summary>A policy's rate of a disk is its control group's: set on the disk, read back, and held.</summary>
public sealed class DiskRateTests
{
    const int Rate = 1 << 20;

    const string RateText = "1048576";

    /// <summary>In seconds, at the rate.</summary>
    const int Size = 4;

    readonly string _folder = Case.NewFolder("rate");

    /// <summary>Files whose content is read from the disk, each once.</summary>
    void MakeFile(string name)
    {
        string path = Path.Combine(_folder, name);
        Native.Run(["dd", "if=/dev/urandom", $"of={path}", "bs=1M", $"count={Size}", "conv=fsync", "status=none"], "/").Ended(0);
        Native.Run(["dd", $"of={path}", "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"], "/").Ended(0);
    }

    string Policy(string host, string more = "", string rate = $"rate: {RateText}")
    {
        string file = Path.Combine(_folder, "policy.yaml");
        File.WriteAllText(file, $$"""
            version: 1
            extends: builtin:default.yaml
            {{more}}
            files:
              show:
                - {path: /data, from: {{host}}, {{rate}}, because: a test}
            """);
        return file;
    }

    /// <summary>What it starts goes on.</summary>
    static Outcome Sandbox(params string[] arguments) => Native.Run([Ring.Sandbox, .. arguments], "/");

    static void Need()
    {
        SandboxRun.Need();
        Assert.SkipUnless(geteuid() == 0, "only root has control groups anywhere");
        string doctor = Sandbox(["doctor"]).Text;
        Assert.SkipUnless(doctor.Contains("can hold a guest to the rates", StringComparison.Ordinal), "no control group for disks here");
    }

    [Fact]
    public void A_guest_reads_no_faster_than_its_rate()
    {
        Need();
        MakeFile("input");
        Assert.SkipUnless(LiesOnDisk(), "the folder lies on no disk");
        var clock = Stopwatch.StartNew();
        SandboxRun.Run(["--policy", Policy(_folder), "--timeout", "100s"], ["cat", "/data/input"]).Ended(0);
        // The bucket of a moment is full at first.
        Assert.True(clock.Elapsed > TimeSpan.FromSeconds(Size - 1), $"{Size} MiB in {clock.Elapsed}");
    }

    /// <summary>A file that was just opened is read ahead of from its beginning only: each of these is one operation.</summary>
    [Fact]
    public void A_guest_reads_no_more_often_than_its_operations()
    {
        Need();
        MakeFile("input");
        Assert.SkipUnless(LiesOnDisk(), "the folder lies on no disk");
        const int operations = 2, reads = 20;
        var clock = Stopwatch.StartNew();
        SandboxRun.Run(["--policy", Policy(_folder, rate: $"operations: {operations}"), "--timeout", "100s"], ["sh", "-c",
            $"for i in $(seq {reads}); do dd if=/data/input of=/dev/null bs=4k count=1 skip=$((i * 50)) status=none; done"]).Ended(0);
        // The bucket of a moment is full at first, and the kernel rounds up.
        Assert.True(clock.Elapsed > TimeSpan.FromSeconds(reads / operations / 2), $"{reads} reads in {clock.Elapsed}");
    }

    bool LiesOnDisk() => Native.Run(["sh", "-c", $"[ -e /sys/dev/block/$(stat -c %Hd:%Ld {_folder}) ]"], "/").Status == 0;

    [Fact]
    public void It_is_read_back_and_a_rate_that_is_raised_is_seen()
    {
        Need();
        Assert.SkipUnless(LiesOnDisk(), "the folder lies on no disk");
        string id = Sandbox(["run", "--detach", "--timeout", "100s", "--policy", Policy(_folder, "isolation: [cgroup]"), "--", "sleep", "90"]).Ended(0).Text.Trim();
        try
        {
            Assert.Empty(Faults(id, 0));
            string audit = Sandbox(["audit", "sandbox", id]).Ended(0).Text;
            Assert.Matches($@"holds +(blkio\.throttle\.read_bps_device|io\.max) .*{Rate}", audit);
            string inspected = Sandbox(["inspect", id]).Ended(0).Text;
            Assert.Contains("rates of disks", inspected, StringComparison.Ordinal);
            string folder = JsonDocument.Parse(Sandbox(["inspect", "--json", id]).Ended(0).Text).RootElement
                .GetProperty("controlGroup").GetProperty("folders").EnumerateArray().Select(one => one.GetString()!)
                .Single(one => File.Exists(one + "/blkio.throttle.read_bps_device") || File.Exists(one + "/io.max"));
            bool isTwo = File.Exists(folder + "/io.max");
            string file = folder + (isTwo ? "/io.max" : "/blkio.throttle.read_bps_device"), disk = File.ReadAllText(file).Split(' ')[0];
            File.WriteAllText(file, isTwo ? $"{disk} rbps=max" : $"{disk} {Rate + 1}");
            Assert.StartsWith("weaker: ", Assert.Single(Faults(id, 1)).Value, StringComparison.Ordinal);
        }
        finally
        {
            Sandbox(["kill", id]);
            Sandbox(["rm", id]);
        }
    }

    static Dictionary<string, string> Faults(string id, int status) =>
        JsonDocument.Parse(Sandbox(["audit", "sandbox", "--json", id]).Ended(status).Text).RootElement
            .GetProperty("walls").EnumerateArray().Where(line => line.GetProperty("verdict").GetString() != "holds")
            .ToDictionary(line => line.GetProperty("wall").GetString()!, line => $"{line.GetProperty("verdict")}: {line.GetProperty("found")}");

    /// <summary>Nothing else would hold it to the rate, so that it does not start.</summary>
    [Fact]
    public void A_folder_on_no_disk_cannot_have_a_rate()
    {
        SandboxRun.Need();
        Assert.SkipUnless(geteuid() == 0, "only root can mount");
        string folder = Path.Combine(_folder, "memory"), policy = Policy(folder);
        Directory.CreateDirectory(folder);
        Native.Run(["unshare", "-m", "sh", "-c", $"mount -t tmpfs tmpfs {folder} && {Ring.Sandbox} run --policy {policy} -- true"], "/")
            .Ended(125).Says($"{policy}:6:7", folder, "lies on no block device of its own");
    }

    [Fact]
    public void Without_a_control_group_a_rate_is_refused()
    {
        SandboxRun.Need();
        Assert.SkipUnless(geteuid() == 0, "only root can mount");
        string policy = Policy(_folder);
        Native.Run(["unshare", "-m", "sh", "-c", $"umount -l /sys/fs/cgroup && {Ring.Sandbox} run --policy {policy} -- true"], "/")
            .Ended(125).Says($"{policy}:6:7", "rate", "see sandbox doctor");
    }
}
