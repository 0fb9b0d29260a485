using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>A program that fills whatever it can write to fills no more of the host than its quota.</summary>
public sealed class QuotaTests
{
    const int Quota = 1 << 20;

    readonly string _folder = Case.NewFolder("quota");

    /// <summary>What the folder takes on the disk, in bytes.</summary>
    long OnDisk => long.Parse(Native.Run(["du", "-s", "-B1", _folder], "/").Text.Split('\t')[0]);

    const string Filler = """
        import os, mmap, errno
        os.chdir("/out")
        stop = 0
        def full(call):
            global stop
            try:
                while True: call()
            except OSError as e:
                assert e.errno == errno.ENOSPC, e
                stop += 1
        v = os.statvfs(".")
        print(v.f_blocks * v.f_frsize, v.f_bavail == v.f_bfree)
        def copies(call):
            with open("source", "wb") as s: s.write(b"x" * 50000)
            source = os.open("source", os.O_RDONLY)
            target = os.open("target", os.O_CREAT | os.O_WRONLY)
            full(lambda: (os.lseek(source, 0, 0), call(source, target)))
            os.close(source); os.close(target)
        f = os.open("a", os.O_CREAT | os.O_RDWR)
        full(lambda: os.write(f, b"x" * 70000))
        os.unlink("a")
        full(lambda: os.ftruncate(f, 1 << 40))
        os.close(f)
        f = os.open("b", os.O_CREAT | os.O_RDWR)
        full(lambda: os.posix_fallocate(f, 0, os.fstat(f).st_size + 100000))
        os.ftruncate(f, 900000)
        m = mmap.mmap(f, 900000)
        os.unlink("b"); os.close(f)
        for i in range(0, 900000, 4096): m[i] = 1
        g = os.open("c", os.O_CREAT | os.O_RDWR | os.O_APPEND)
        full(lambda: os.writev(g, [b"y" * 30000, b"z" * 30000]))
        m.close(); os.close(g); os.unlink("c")
        copies(lambda s, t: os.sendfile(t, s, 0, 50000))
        os.unlink("target")
        copies(lambda s, t: os.copy_file_range(s, t, 50000))
        os.unlink("target")
        r, w = os.pipe()
        copies(lambda s, t: (os.splice(s, w, 50000), os.splice(r, t, 50000)))
        os.unlink("target"); os.unlink("source")
        n = 0
        def name():
            global n
            n += 1
            os.close(os.open(f"empty{n}", os.O_CREAT | os.O_WRONLY))
        full(name)
        print(stop, n > 100)
        v = os.statvfs(".")
        print(v.f_bavail)
        """;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_disk_filler_fills_its_quota(bool byFlag)
    {
        SandboxRun.Need();
        string policy = Path.Combine(Case.NewFolder("quota-policy"), "policy.yaml");
        File.WriteAllText(policy, $$"""
            version: 1
            extends: builtin:default.yaml
            files:
              show:
                - path: /out
                  from: {{_folder}}
                  access: [read, write, create, delete]
                  quota: 1M
                  because: results
            """);
        long before = OnDisk;
        string[] given = byFlag ? ["--mount", $"{_folder}:/out:rw,quota=1M"] : ["--policy", policy];
        Outcome outcome = SandboxRun.Command(["run", .. given, "--", "python3", "-c", Filler]).Ended(0);
        Assert.Equal("1048576 True\n8 True\n0\n", outcome.Text);
        Assert.InRange(OnDisk - before, 1, Quota);
    }
}
