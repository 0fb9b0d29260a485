using System.Globalization;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>What a guest sees of its host: nothing that it was not given.</summary>
public sealed class IsolationTests
{
    [Theory]
    [InlineData("/home")]
    [InlineData("/root")]
    [InlineData("/var")]
    [InlineData("/run")]
    [InlineData("/boot")]
    [InlineData("/mnt")]
    [InlineData("/media")]
    [InlineData("/opt")]
    [InlineData("/srv")]
    [InlineData("/sys/block")]
    [InlineData("/sys/class")]
    [InlineData("/sys/fs/ext4")]
    [InlineData("/sys/firmware")]
    [InlineData("/sys/kernel/debug")]
    [InlineData("/sys/module")]
    [InlineData("/etc/shadow")]
    [InlineData("/etc/ssh")]
    [InlineData("/etc/fstab")]
    [InlineData("/dev/kvm")]
    [InlineData("/dev/vda")]
    [InlineData("/dev/mem")]
    [InlineData("/dev/fuse")]
    [InlineData("/dev/net/tun")]
    [InlineData("/proc/kcore")]
    [InlineData("/proc/sysrq-trigger")]
    [InlineData("/proc/1/environ/../../../root")]
    public void The_hosts_path_is_not_there(string path)
    {
        // /home may exist, because the guest's own home is in it; then that is all that it holds.
        Outcome outcome = SandboxRun.Run([], ["sh", "-c",
            $"[ \"$(dirname \"$HOME\")\" = {path} ] && ls -A {path} | grep -vx \"$(basename \"$HOME\")\" || {{ [ \"$(dirname \"$HOME\")\" != {path} ] && ls -d {path} 2>/dev/null; }}; true"]);
        Assert.Equal("", outcome.Ended(0).Text);
    }

    [Fact]
    public void The_root_holds_only_what_was_made_for_the_guest()
    {
        string[] names = SandboxRun.Run([], ["ls", "-A", "/"]).Ended(0).Text.TrimEnd('\n').Split('\n');
        Assert.Empty(names.Except(["bin", "sbin", "usr", "lib", "lib32", "lib64", "libx32", "etc", "proc", "sys", "dev", "tmp", "home"]));
    }

    [Fact]
    public void Etc_names_only_the_guests_users()
    {
        string text = SandboxRun.Run(["--user", "someone"], ["cat", "/etc/passwd", "/etc/group"]).Ended(0).Text;
        foreach (string line in File.ReadLines("/etc/passwd"))
            if (line.Split(':') is [string name, _, string uid, ..] && int.Parse(uid, CultureInfo.InvariantCulture) is > 0 and < 65000)
                Assert.DoesNotContain($"{name}:x:{uid}:", text);
        Assert.Contains("someone:", text);
    }

    [Fact]
    public void Proc_lists_only_the_guests_processes()
    {
        string text = SandboxRun.Run([], ["sh", "-c", "sleep 5 & ls /proc | grep -c '^[0-9]'; for p in /proc/[0-9]*; do cat $p/comm; done 2>/dev/null | sort -u; kill $!"]).Ended(0).Text;
        string[] lines = text.TrimEnd('\n').Split('\n');
        Assert.InRange(int.Parse(lines[0], CultureInfo.InvariantCulture), 2, 6);
        Assert.Empty(lines[1..].Except(["sh", "sleep", "cat", "ls", "grep", "sort", "init"]));
    }

    [Fact]
    public void No_process_of_the_host_can_be_signalled_or_looked_at()
    {
        int host = Environment.ProcessId;
        string text = SandboxRun.Run([], ["sh", "-c", $"kill -0 {host} 2>/dev/null && echo alive; ls /proc/{host} 2>/dev/null; cat /proc/{host}/maps 2>/dev/null; true"]).Ended(0).Text;
        Assert.Equal("", text);
    }

    [Fact]
    public void The_kernels_names_and_mounts_are_the_guests_own()
    {
        string text = SandboxRun.Run([], ["sh", "-c", "cat /proc/self/mountinfo /proc/mounts /proc/cmdline /proc/self/cgroup /proc/self/environ 2>/dev/null; uname -n"]).Ended(0).Text;
        Assert.DoesNotContain(Ring.Folder, text);
        Assert.DoesNotContain("ext4", text);
        Assert.DoesNotContain(Environment.MachineName + "\n", text.EndsWith("sandbox\n", StringComparison.Ordinal) ? "" : text);
    }

    [Fact]
    public void There_is_no_network()
    {
        string text = SandboxRun.Run([], ["python3", "-c", """
            import socket
            for family, kind in ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET6, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_INET, socket.SOCK_RAW), (socket.AF_NETLINK, socket.SOCK_RAW), (socket.AF_PACKET, socket.SOCK_RAW), (40, socket.SOCK_STREAM)):
                try:
                    s = socket.socket(family, kind)
                    if family == socket.AF_NETLINK: continue
                    s.settimeout(1)
                    s.connect(("127.0.0.1", 22) if family == socket.AF_INET else ("::1", 22))
                    s.send(b"x")
                    print("sent", family, kind)
                except OSError:
                    pass
            print("finished")
            """]).Ended(0).Text;
        Assert.Equal("finished\n", text);
    }

    [Fact]
    public void Privileged_calls_are_refused_or_missing()
    {
        string text = SandboxRun.Run(["--user", "root"], ["python3", "-c", """
            import ctypes, errno
            libc = ctypes.CDLL(None, use_errno=True)
            calls = {"mount": 165, "umount2": 166, "pivot_root": 155, "reboot": 169, "init_module": 175, "finit_module": 313, "kexec_load": 246,
                     "iopl": 172, "ioperm": 173, "bpf": 321, "perf_event_open": 298, "swapon": 167, "sethostname": 170, "settimeofday": 164,
                     "io_uring_setup": 425, "userfaultfd": 323, "open_by_handle_at": 304, "ptrace": 101, "kcmp": 312, "acct": 163, "setns": 308,
                     "fsopen": 430, "move_mount": 429, "open_tree": 428, "add_key": 248, "vmsplice": 278, "modify_ldt": 154}
            for name, number in calls.items():
                result = libc.syscall(number, 0, 0, 0, 0, 0)
                if result == 0 and name not in ("ptrace", "modify_ldt", "vmsplice", "sethostname"):
                    print(name, "succeeded")
            print("finished", errno.errorcode[ctypes.get_errno()] != "")
            """]).Ended(0).Text;
        Assert.Equal("finished True\n", text);
    }

    [Fact]
    public void Two_guests_do_not_see_each_other()
    {
        SandboxRun.Need();
        using var barrier = new Barrier(2);
        string script = "echo $$ > /tmp/mine; echo x > /dev/shm/mine; sleep 1; ls /tmp /dev/shm; set -- /proc/[0-9]*; echo $#";
        string[] texts = new string[2];
        Parallel.For(0, 2, i =>
        {
            barrier.SignalAndWait();
            texts[i] = SandboxRun.Run([], ["sh", "-c", script]).Clean().Text;
        });
        Assert.Equal(texts[0], texts[1]);
        Assert.Equal("/dev/shm:\nmine\n\n/tmp:\nmine\n1\n", texts[0]);
    }

    [Fact]
    public void Nothing_of_one_run_is_seen_by_the_next()
    {
        SandboxRun.Run([], ["sh", "-c", "echo x > /tmp/left; echo y > ~/left; echo z > /dev/shm/left"]).Ended(0);
        Assert.Equal("", SandboxRun.Run([], ["sh", "-c", "ls -A /tmp /dev/shm ~ | grep left; true"]).Ended(0).Text);
    }
}
