using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>
/// Ways out of a mounted folder: links, dots, magic links, and a host-side attacker who changes the folder while the
/// guest walks it. A canary file outside must never be read, nor anything outside changed.
/// </summary>
public sealed class EscapeTests : IDisposable
{
    readonly string _base = Case.NewFolder("escape");
    readonly string _inside, _outside;
    readonly CancellationTokenSource _stop = new();

    public EscapeTests()
    {
        _inside = Directory.CreateDirectory(Path.Combine(_base, "inside")).FullName;
        _outside = Directory.CreateDirectory(Path.Combine(_base, "outside")).FullName;
        File.WriteAllText(Path.Combine(_outside, "secret"), "CANARY\n");
        File.WriteAllText(Path.Combine(_base, "secret"), "CANARY\n");
    }

    public void Dispose()
    {
        _stop.Dispose();
        Directory.Delete(_base, recursive: true);
    }

    [Theory]
    [InlineData("../secret")]
    [InlineData("../outside/secret")]
    [InlineData("/secret")]
    [InlineData("/../secret")]
    [InlineData("a/../../secret")]
    [InlineData("a/b/../../../outside/secret")]
    [InlineData("absolute")]
    [InlineData("relative")]
    [InlineData("folder/secret")]
    [InlineData("folder/../secret")]
    [InlineData("chain")]
    [InlineData("proc-root/secret")]
    [InlineData("proc-cwd")]
    [InlineData("proc-fd")]
    [InlineData("a/up/secret")]
    public void A_path_does_not_lead_out(string path)
    {
        Directory.CreateDirectory(Path.Combine(_inside, "a/b"));
        Link("absolute", Path.Combine(_outside, "secret"));
        Link("relative", "../outside/secret");
        Link("folder", "../outside");
        Link("chain", "relative");
        Link("proc-root", $"/proc/self/root{_outside}");
        Link("proc-cwd", $"/proc/self/cwd/../outside/secret");
        Link("proc-fd", $"/proc/1/root{_outside}/secret");
        Link("a/up", "../..");
        string full = path.StartsWith('/') ? path : "/m/" + path;
        Outcome outcome = SandboxRun.Run(["--mount", $"{_inside}:/m:rw", "--workdir", "/m"], ["sh", "-c",
            $"cat {full} {path.TrimStart('/')} /proc/self/root{full} /proc/self/cwd/{path} 2>/dev/null; echo x 2>/dev/null > {full}; echo x 2>/dev/null >> {path.TrimStart('/')}; rm -f {full} 2>/dev/null; mv {full} /m/got 2>/dev/null; ln {full} /m/hard 2>/dev/null; chmod 777 {full} 2>/dev/null; truncate -s 0 {full} 2>/dev/null; true"]);
        Assert.DoesNotContain("CANARY", outcome.Clean().Text);
        AssertUntouched();
    }

    [Fact]
    public void A_mounted_link_is_what_it_points_to_and_no_more()
    {
        Link("dir-link", "../outside");
        Outcome outcome = SandboxRun.Run(["--mount", $"{_inside}:/m", "--mount", $"{_inside}/dir-link:/n"],
            ["sh", "-c", "cat /n/secret; ls /n/..; cat /m/dir-link/secret /n/../secret 2>/dev/null; true"]).Clean();
        Assert.Equal("CANARY", outcome.Text.Split('\n')[0]);
        Assert.Single(outcome.Text.Split('\n'), line => line.Contains("CANARY"));
    }

    [Fact]
    public void A_hard_link_to_outside_is_not_made_by_a_guest()
    {
        Outcome outcome = SandboxRun.Run(["--mount", $"{_inside}:/m:rw"], ["python3", "-c", """
            import os
            for source in ("/proc/self/fd/0", "/proc/self/exe", "/usr/bin/env", "/etc/passwd", "/dev/null", "/proc/1/root/secret"):
                for flags in (True, False):
                    try:
                        os.link(source, "/m/hard" + source.replace("/", "_"), follow_symlinks=flags)
                        print("linked", source)
                    except OSError:
                        pass
            """]).Clean();
        Assert.Equal("", outcome.Text);
        Assert.Empty(Directory.GetFileSystemEntries(_inside));
    }

    [Fact]
    public void A_device_or_socket_in_a_mount_is_not_opened()
    {
        Tool.Need("mkfifo", "python3");
        string fifo = Path.Combine(_inside, "fifo");
        Native.Run(["mkfifo", fifo], "/");
        Native.Run(["python3", "-c", $"import socket; socket.socket(socket.AF_UNIX).bind('{_inside}/socket')"], "/");
        bool device = Native.Run(["mknod", Path.Combine(_inside, "device"), "c", "1", "5"], "/").Status == 0;
        Outcome outcome = SandboxRun.Run(["--mount", $"{_inside}:/m:rw", "--timeout", "10s"], ["python3", "-c", """
            import os, socket
            for name in ("device", "socket"):
                try:
                    f = os.open("/m/" + name, os.O_RDWR | os.O_NONBLOCK)
                    print("opened", name, os.read(f, 4))
                except OSError:
                    pass
            try:
                socket.socket(socket.AF_UNIX).connect("/m/socket")
                print("connected")
            except OSError:
                pass
            try:
                os.mknod("/m/made", 0o600 | 0o020000, os.makedev(1, 5))
                print("made a device")
            except OSError:
                pass
            """]).Clean();
        Assert.Equal("", outcome.Text);
        Assert.False(File.Exists(Path.Combine(_inside, "made")));
        Assert.True(device || Environment.UserName != "root");
    }

    /// <summary>What is no file or folder would outlive the guest on the host, with another meaning there.</summary>
    [Fact]
    public void A_fifo_or_socket_is_not_made_in_a_mount()
    {
        Outcome outcome = SandboxRun.Run(["--mount", $"{_inside}:/m:rw"], ["python3", "-c", """
            import errno, os, socket
            for make in (lambda: os.mkfifo("/m/fifo"), lambda: socket.socket(socket.AF_UNIX).bind("/m/socket")):
                try:
                    make()
                    print("made")
                except OSError as error:
                    print(errno.errorcode[error.errno])
            """]).Ended(0);
        Assert.Equal("EPERM\nEPERM\n", outcome.Text);
        Assert.Empty(Directory.GetFileSystemEntries(_inside));
    }

    [Fact]
    public void Setuid_bits_do_not_reach_the_host()
    {
        SandboxRun.Run(["--mount", $"{_inside}:/m:rw", "--user", "root"], ["sh", "-c",
            "cp /usr/bin/env /m/env; chown 0:0 /m/env; chmod 6755 /m/env; true"]).Clean();
        UnixFileMode mode = File.GetUnixFileMode(Path.Combine(_inside, "env"));
        Assert.Equal(UnixFileMode.None, mode & (UnixFileMode.SetUser | UnixFileMode.SetGroup));
    }

    /// <summary>
    /// For some seconds the host renames folders and swaps links for folders at every depth, while the guest opens,
    /// creates and renames below the mount as fast as it can.
    /// </summary>
    [Theory]
    [InlineData("ro")]
    [InlineData("rw")]
    public void Renaming_and_swapping_on_the_host_opens_no_way_out(string mode)
    {
        SandboxRun.Need();
        Tool.NeedGuestPrograms();
        Build();
        Thread[] attackers =
        [
            Attack("a/b/c", "away"), Attack("a/b", "hidden"), Swap("swap"),
            Swap("a/swap"), SwapFile("file"), MoveOut(),
        ];
        Outcome outcome = SandboxRun.Run(
            ["--mount", $"{_inside}:/m:{mode}", "--mount", $"{Ring.GuestPrograms}:/guests", "--user", SandboxRun.User],
            ["/guests/walk", "/m", "4"]);
        _stop.Cancel();
        foreach (Thread attacker in attackers)
            attacker.Join();
        outcome.Ended(0);
        Assert.Contains("ok never got out", outcome.Text);
        AssertUntouched();
        Assert.DoesNotContain(Directory.GetFileSystemEntries(_outside), path => path.Contains("escaped"));
        Assert.DoesNotContain(Directory.GetFileSystemEntries(_base), path => path.Contains("escaped"));
    }

    void Build()
    {
        Directory.CreateDirectory(Path.Combine(_inside, "a/b/c"));
        Directory.CreateDirectory(Path.Combine(_inside, "deep/x/y/z"));
        Directory.CreateDirectory(Path.Combine(_inside, "real"));
        File.WriteAllText(Path.Combine(_inside, "a/b/c/secret"), "inside\n");
        File.WriteAllText(Path.Combine(_inside, "a/b/secret"), "inside\n");
        File.WriteAllText(Path.Combine(_inside, "real/secret"), "inside\n");
        Link("link", "../outside");
        Link("a/link", "../../outside");
    }

    /// <summary>Moves a folder out of the tree and back: dot-dot from inside it then leads somewhere else.</summary>
    Thread MoveOut() => Repeat(() =>
    {
        string from = Path.Combine(_inside, "deep/x/y"), to = Path.Combine(_base, "moved-out");
        Directory.Move(from, to);
        Directory.Move(to, from);
    });

    Thread Attack(string folder, string other) => Repeat(() =>
    {
        string from = Path.Combine(_inside, folder), to = Path.Combine(_inside, other);
        Directory.Move(from, to);
        Directory.Move(to, from);
    });

    /// <summary>The name is in turn a folder inside, a link to outside, and nothing.</summary>
    Thread Swap(string name)
    {
        string path = Path.Combine(_inside, name);
        return Repeat(() =>
        {
            Directory.CreateDirectory(path + "-dir/b");
            Directory.Move(path + "-dir", path);
            Directory.Delete(path, recursive: true);
            File.CreateSymbolicLink(path, _outside);
            File.Delete(path);
        });
    }

    Thread SwapFile(string name)
    {
        string path = Path.Combine(_inside, name);
        return Repeat(() =>
        {
            File.WriteAllText(path, "inside\n");
            File.Delete(path);
            File.CreateSymbolicLink(path, Path.Combine(_outside, "secret"));
            File.Delete(path);
        });
    }

    Thread Repeat(Action action)
    {
        var thread = new Thread(() =>
        {
            while (!_stop.IsCancellationRequested)
            {
                try
                {
                    action();
                }
                catch (IOException)
                {
                    // Another attacker was faster; the next turn finds another state.
                }
                catch (UnauthorizedAccessException)
                {
                }
            }
        }) { IsBackground = true };
        thread.Start();
        return thread;
    }

    void Link(string name, string target) => File.CreateSymbolicLink(Path.Combine(_inside, name), target);

    void AssertUntouched()
    {
        Assert.Equal("CANARY\n", File.ReadAllText(Path.Combine(_outside, "secret")));
        Assert.Equal("CANARY\n", File.ReadAllText(Path.Combine(_base, "secret")));
        Assert.Equal(["secret"], Directory.GetFileSystemEntries(_outside).Select(Path.GetFileName));
        Assert.NotEqual((UnixFileMode)0b111_111_111, File.GetUnixFileMode(Path.Combine(_outside, "secret")));
    }
}
