using System.Text.Json;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>Guests with a kernel of their own: Debian's, and kernels of a few instructions for every kind of end.</summary>
[Collection(nameof(OnMachineHost))]
public sealed class MachineTests
{
    static int s_images;

    const int PowersOff = 0, Resets = 1, Panics = 2, Faults = 3, Sleeps = 4, Floods = 5, WritesTwice = 6;

    /// <summary>
    /// QEMU 7.2 does not tell KVM when a guest's kernel chooses the parts of a processor's state that XSAVE keeps, so that
    /// the guest loses all but the first: kernels complain, and registers of programs get lost.
    /// </summary>
    internal const string Sane = "noxsave";

    static string Kernel => $"{LabHost.Repository}/build/lab/vmlinuz";

    static Outcome Run(string[] flags, byte[]? input = null, int seconds = 100) =>
        Laboratory.MachineHost.Run([Laboratory.SandboxInLab, "run", .. flags], input, TimeSpan.FromSeconds(seconds));

    /// <summary>A kernel of tiny-kernel.S, in the lab host.</summary>
    static string Tiny(int ending)
    {
        Laboratory.Need();
        Directory.CreateDirectory(Path.Combine(Laboratory.Root, "build/test/machine"));
        string file = $"build/test/machine/tiny-{ending}";
        Assert.True(Laboratory.Made(out string said, "gcc", "-nostdlib", "-static", "-no-pie", $"-DENDING={ending}",
            "-Wl,-Ttext=0x200000,--build-id=none,-e,entry,-z,noexecstack", "-o", Path.Combine(Laboratory.Root, file),
            Path.Combine(Laboratory.Root, "tests/Lab/tiny-kernel.S")), said);
        return $"{LabHost.Repository}/{file}";
    }

    /// <summary>An initramfs of busybox and a script, in the lab host.</summary>
    /// <param name="modules">Of the lab's kernel, in /modules, behind what they need.</param>
    /// <param name="programs">Files of this machine that it has beside busybox, in bin.</param>
    internal static string Initramfs(string name, string script, string[]? modules = null, string[]? programs = null)
    {
        Laboratory.Need();
        string folder = Path.Combine(Laboratory.Root, "build/test/machine", name);
        foreach (string part in new[] { "bin", "dev", "proc" })
            Directory.CreateDirectory(Path.Combine(folder, part));
        File.Copy("/bin/busybox", Path.Combine(folder, "bin/busybox"), overwrite: true);
        foreach (string module in modules ?? [])
            Assert.True(Laboratory.Made(out string failed, "sh", "-c",
                $"""
                mkdir -p '{folder}/modules'
                file=$(find '{Path.Combine(Laboratory.Root, "build/lab/kernel")}' -name '{module}.ko*' -print -quit)
                case $file in *.xz) xz -dc "$file" ;; *) cat "$file" ;; esac >'{folder}/modules/{module}.ko'
                """), failed);
        foreach (string program in programs ?? [])
            File.Copy(program, Path.Combine(folder, "bin", Path.GetFileName(program)), overwrite: true);
        string init = Path.Combine(folder, "init");
        File.WriteAllText(init, $"#!/bin/busybox sh\n/bin/busybox --install /bin\nmount -t proc proc /proc\n{script}\n");
        File.SetUnixFileMode(init, (UnixFileMode)0b111_101_101);
        Assert.True(Laboratory.Made(out string said, "sh", "-c",
            $"cd '{folder}' && find . | busybox cpio -o -H newc >'{folder}.cpio'"), said);
        return $"{LabHost.Repository}/build/test/machine/{name}.cpio";
    }

    static void Says(Outcome outcome, int status, string line)
    {
        Assert.True(outcome.Status == status, outcome.ToString());
        Assert.Contains(line, outcome.ErrorText, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(PowersOff, 0, "")]
    [InlineData(Resets, 120, "sandbox: the guest reset itself")]
    [InlineData(Panics, 121, "sandbox: the guest's kernel panicked")]
    [InlineData(Faults, 122, "sandbox: the guest's processor gave up (triple fault)")]
    public void Every_end_has_its_status(int ending, int status, string line)
    {
        Outcome outcome = Run(["--kernel", Tiny(ending), "--memory", "32M"]);
        Says(outcome, status, line);
        Assert.Equal("!"u8.ToArray(), outcome.Output);
    }

    [Fact]
    public void A_guest_that_sleeps_ends_at_its_limit_of_time_and_its_record_tells_what_it_did()
    {
        Outcome outcome = Run(["--kernel", Tiny(Sleeps), "--memory", "32M", "--timeout", "10s", "--json", "/proc/self/fd/1"]);
        Says(outcome, 124, "--timeout");
        string text = outcome.Text[outcome.Text.IndexOf('{')..];
        JsonElement record = JsonDocument.Parse(text).RootElement;
        Assert.Equal("wallTimeLimit", record.GetProperty("cause").GetString());
        Assert.Equal((2, 1), (record.GetProperty("strayReads").GetInt32(), record.GetProperty("strayWrites").GetInt32()));
        Assert.Equal((2, 2), (record.GetProperty("exits").GetProperty("io").GetInt32(), record.GetProperty("exits").GetProperty("mmio").GetInt32()));
        JsonElement times = record.GetProperty("exitTimes").GetProperty("io");
        long Of(string name) => times.GetProperty(name).GetInt64();
        Assert.Equal(2, Of("count"));
        Assert.InRange(Of("minimumNanoseconds"), 1, Of("maximumNanoseconds"));
        Assert.Equal(Of("sumNanoseconds"), Of("minimumNanoseconds") + Of("maximumNanoseconds"));
        Assert.Equal(JsonValueKind.Array, record.GetProperty("devices").ValueKind);
    }

    /// <summary>Its pipe is full when the guest starts, which ends at once.</summary>
    [Theory]
    [InlineData("", PowersOff, 0, 65537, "")]
    [InlineData("--timeout 6s", PowersOff, 124, 65536, "sandbox-vmm: the rest of the guest's output is lost: nobody took it")]
    [InlineData("--output-limit 1", WritesTwice, 153, 65537, "--output-limit")]
    public void A_reader_who_takes_his_time_gets_what_the_guest_wrote(
        string limit, int ending, int status, int bytes, string line)
    {
        Outcome outcome = Laboratory.MachineHost.Run(["sh", "-ec",
            $"""
            mkfifo pipe
            (exec <pipe; sleep 15; wc -c >count) &
            exec 3>pipe
            head -c 65536 /dev/zero >&3
            {Laboratory.SandboxInLab} run --kernel {Tiny(ending)} --memory 32M {limit} >&3 && status=0 || status=$?
            exec 3>&-
            wait
            cat count
            exit $status
            """]);
        Says(outcome, status, line);
        Assert.Equal($"{bytes}\n", outcome.Text);
        Assert.DoesNotContain("by force", outcome.ErrorText, StringComparison.Ordinal);
    }

    [Fact]
    public void A_guest_that_floods_its_console_ends_at_its_limit_of_output()
    {
        Outcome outcome = Run(["--kernel", Tiny(Floods), "--memory", "32M", "--output-limit", "10000"]);
        Says(outcome, 153, "--output-limit");
        Assert.Equal(10_000, outcome.Output.Length);
    }

    [Fact]
    public void A_virtio_console_has_the_callers_streams_and_takes_a_flood_each_way()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        const int Flood = 256 << 10;
        string initrd = Initramfs("hvc", $$"""
            # Which of the first two needs the other differs between kernels.
            for module in virtio_ring virtio virtio_ring virtio_mmio virtio_console; do insmod /modules/$module.ko; done
            mount -t devtmpfs dev /dev
            until [ -c /dev/hvc0 ]; do sleep 0.1; done
            exec </dev/hvc0 >/dev/hvc0 2>&1
            stty -echo -opost
            read -r line; echo "read: $line"
            head -c {{Flood}} | sha256sum
            yes 0123456789abcde | head -c {{Flood}}
            echo "the end"
            poweroff -f
            """, ["virtio", "virtio_ring", "virtio_mmio", "virtio_console"]);
        string policy = "build/test/machine/console.yaml";
        File.WriteAllText(Path.Combine(Laboratory.Root, policy),
            """
            version: 1
            description: A machine guest with a virtio console
            extends: builtin:machine-default.yaml
            devices:
              - {device: virtio-console, because: its guest is talked to at length}
            """);
        byte[] flood = System.Text.Encoding.ASCII.GetBytes(
            string.Concat(Enumerable.Range(0, Flood / 64).Select(number => $"{number,63}\n")));
        Outcome outcome = Run(
            ["--policy", $"{LabHost.Repository}/{policy}", "--kernel", Kernel, "--initrd", initrd, "--memory", "256M", "--append", Sane + " quiet"],
            [.. "one line\n"u8, .. flood], 170);
        Says(outcome, 0, "");
        Assert.Contains("read: one line", outcome.Text, StringComparison.Ordinal);
        Assert.Contains(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(flood)), outcome.Text, StringComparison.Ordinal);
        Assert.Contains(string.Concat(Enumerable.Repeat("0123456789abcde\n", Flood / 16)) + "the end", outcome.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_no_kernel_is_one_line()
    {
        Outcome outcome = Run(["--kernel", "/bin/busybox"]);
        Says(outcome, 125, "--kernel: the ELF kernel has no PVH entry");
        Says(Run(["--kernel", "/etc/passwd"]), 125, "--kernel: the file is neither a bzImage nor an ELF kernel");
        Says(Run(["--kernel", Kernel, "--memory", "16M"]), 125, "raise --memory");
    }

    [Fact]
    public void Debians_kernel_boots_to_its_first_process_reads_its_input_and_powers_off()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        string initrd = Initramfs("hello", """
            read -r line
            echo "read: $line"
            echo "processors: $(grep -c ^processor /proc/cpuinfo)"
            poweroff -f
            """);
        Outcome outcome = Run(
            ["--kernel", Kernel, "--initrd", initrd, "--memory", "256M", "--append", Sane], "one line\n"u8.ToArray(), 170);
        Says(outcome, 0, "");
        Assert.Contains("Linux version 6.", outcome.Text, StringComparison.Ordinal);
        Assert.Contains("read: one line", outcome.Text, StringComparison.Ordinal);
        Assert.Contains("processors: 1", outcome.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("unchecked MSR access", outcome.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("Call Trace", outcome.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_panic_is_told_from_a_reset()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        // A kernel that panics does not wait for what its terminals have not sent yet.
        string initrd = Initramfs("panic", "echo said; sleep 2");
        Outcome outcome = Run(["--kernel", Kernel, "--initrd", initrd, "--memory", "256M", "--append", $"quiet {Sane}"], seconds: 170);
        Says(outcome, 121, "sandbox: the guest's kernel panicked");
        Assert.Contains("said", outcome.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_reset_by_Linux_ends_the_guest()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        Outcome outcome = Run(
            ["--kernel", Kernel, "--initrd", Initramfs("reboot", "reboot -f"), "--memory", "256M", "--append", $"quiet {Sane}"], seconds: 170);
        Says(outcome, 120, "sandbox: the guest reset itself");
    }

    /// <summary>By a fault of its own: from within, no signal reaches the first process.</summary>
    [Fact]
    public void A_first_process_that_is_killed_is_a_panic()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        string initrd = Initramfs("killed", "sleep 2; exec /bin/faulty", programs: [Laboratory.Compiled("faulty")]);
        Outcome outcome = Run(["--kernel", Kernel, "--initrd", initrd, "--memory", "256M", "--append", Sane], seconds: 170);
        Says(outcome, 121, "sandbox: the guest's kernel panicked");
        Assert.Contains("Attempted to kill init! exitcode=0x0000000b", outcome.Text, StringComparison.Ordinal);
    }

    /// <summary>
    /// A file system of busybox and a few folders, in the lab host. A new file each time: what a lab host has read of a file
    /// it does not read again.
    /// </summary>
    internal static string Image(string name)
    {
        string folder = Path.Combine(Laboratory.Root, Tree(name));
        string image = $"{folder}-{Interlocked.Increment(ref s_images)}.ext4";
        File.Delete(image);
        Assert.True(Laboratory.Made(out string said, "/usr/sbin/mke2fs", "-q", "-t", "ext4", "-d", folder, image, "16M"), said);
        return $"{LabHost.Repository}/build/test/machine/{Path.GetFileName(image)}";
    }

    /// <summary>A folder with busybox and a few folders, from the repository on.</summary>
    static string Tree(string name)
    {
        Laboratory.Need();
        string folder = Path.Combine(Laboratory.Root, "build/test/machine", name);
        foreach (string part in new[] { "bin", "dev", "proc", "sys", "tmp", "run" })
            Directory.CreateDirectory(Path.Combine(folder, part));
        File.Copy("/bin/busybox", Path.Combine(folder, "bin/busybox"), overwrite: true);
        foreach (string applet in (string[])
            ["sh", "cat", "echo", "md5sum", "uname", "tty", "stty", "wc", "hostname", "sleep", "kill", "dd", "stat", "grep"])
            if (!File.Exists(Path.Combine(folder, "bin", applet)))
                File.CreateSymbolicLink(Path.Combine(folder, "bin", applet), "busybox");
        return $"build/test/machine/{name}";
    }

    /// <summary>The kernel where its package has it, with its modules beside.</summary>
    internal static string PackagedKernel
    {
        get
        {
            Laboratory.Need();
            string file = Directory.GetFiles(Path.Combine(Laboratory.Image, "kernel/boot"), "vmlinuz-*").Single();
            return $"{LabHost.Repository}/{Path.GetRelativePath(Laboratory.Root, file)}";
        }
    }

    static Outcome RunIn(string image, string[] flags, string[] command, byte[]? input = null) =>
        Run(["--kernel", PackagedKernel, "--root", image, "--memory", "256M", .. flags, "--", .. command], input, 170);

    [Fact]
    public void A_program_in_an_image_has_the_callers_streams_and_its_own_status()
    {
        byte[] input = new byte[20_000];
        new Random(1).NextBytes(input);
        Outcome outcome = RunIn(Image("root"), ["--env", "WORD=two words", "--hostname", "inside"],
            ["sh", "-c", "cat </dev/stdin >/dev/stdout; echo \"$WORD $(hostname)\" >/dev/stderr; echo changed >/file && cat /file >&2; exit 42"],
            input);
        Assert.True(outcome.Status == 42, outcome.ToString());
        Assert.Equal(input, outcome.Output);
        Assert.Equal("two words inside\nchanged\n", outcome.ErrorText);
    }

    [Fact]
    public void A_program_whose_output_nobody_reads_any_more_ends()
    {
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        string run = $"{Laboratory.SandboxInLab} run --kernel {PackagedKernel} --root {Image("unread")} --memory 256M";
        Outcome outcome = Laboratory.MachineHost.Run(
            ["sh", "-c", $"({run} -- busybox yes; echo $? >status) | head -1; cat status"], limit: TimeSpan.FromSeconds(170));
        Assert.True(outcome.Text == "y\n141\n", outcome.ToString());
    }

    /// <summary>As a guest leaves it that was killed while it wrote: what its journal holds is not in its place yet.</summary>
    [Fact]
    public void An_image_that_has_to_be_put_in_order_says_so()
    {
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        string image = Image("dirty");
        string file = Path.Combine(Laboratory.Root, "build/test/machine", Path.GetFileName(image));
        Assert.True(Laboratory.Made(out string said, "/usr/sbin/debugfs", "-w", "-R", "feature needs_recovery", file), said);
        Says(RunIn(image, [], ["true"]), 125, "start it once with :rw");
    }

    /// <summary>Twice would boot twice: that the second start finds the image is for the unit tests.</summary>
    [Fact]
    public void A_program_in_a_directory_sees_the_directory_and_changes_only_its_own()
    {
        string tree = $"{LabHost.Repository}/{Tree("tree")}";
        string run = $"{Laboratory.SandboxInLab} run --kernel {PackagedKernel} --memory 256M --root tree";
        // Root's own cache is on this machine, where the lab host must not write.
        Outcome outcome = Laboratory.MachineHost.Run(
            ["sh", "-c", $"""
            mount -t tmpfs tmpfs /var/lib && cp -a {tree} tree && mknod tree/dev/zero c 1 5 && chown 7:8 tree/tmp &&
                {run}:rw -- sh; echo $?
            {run} -- sh -c 'stat -c "%u:%g" /tmp; dd if=/dev/zero bs=5 count=1 2>/dev/null | md5sum; echo new >/bin/new && cat /bin/new'; echo $?
            ls tree/bin/new /var/lib/sandbox/images
            """], limit: TimeSpan.FromSeconds(170));
        Assert.Contains("leave out :rw", outcome.ErrorText, StringComparison.Ordinal);
        string[] lines = outcome.Text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.True(lines.Length >= 6, outcome.ToString());
        Assert.Equal(["125", "7:8", "ca9c491ac66b2c62500882e93f3719a8  -", "new", "0"], lines[..5]);
        Assert.Contains(lines[5..], line => line.EndsWith(".squashfs", StringComparison.Ordinal));
        Assert.Contains("tree/bin/new", outcome.ErrorText, StringComparison.Ordinal);
    }

    [Fact]
    public void An_EROFS_image_is_a_root_like_the_others()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        string folder = Path.Combine(Laboratory.Root, Tree("erofs"));
        File.Delete($"{folder}.erofs");
        Assert.True(Laboratory.Made(out string said, "mkfs.erofs", "--quiet", $"{folder}.erofs", folder), said);
        Outcome outcome = RunIn($"{LabHost.Repository}/build/test/machine/erofs.erofs", [],
            ["sh", "-c", "grep -c erofs /proc/filesystems; busybox sha256sum </bin/busybox; echo new >/bin/new && cat /bin/new; exit 42"]);
        Assert.True(outcome.Status == 42, outcome.ToString());
        string sum = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes("/bin/busybox")));
        Assert.Equal($"1\n{sum}  -\nnew\n", outcome.Text);
    }

    /// <summary>
    /// A tree as a distribution's is, of its packages: devices, links of both kinds, files that run as somebody else, other
    /// owners. What root packs of it is what it was.
    /// </summary>
    [Fact]
    public void A_tree_of_a_distributions_packages_is_packed_with_all_that_is_in_it()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        string packages = Path.Combine(Laboratory.Root, "build/test/machine/packages");
        Assert.True(Laboratory.Made(out string said, "sh", "-ec",
            $"""
            mkdir -p '{packages}' && cd '{packages}'
            ls busybox-static_*.deb passwd_*.deb >/dev/null 2>&1 || apt-get download busybox-static passwd >log 2>&1
            """), said);
        string run = $"{Laboratory.SandboxInLab} run --kernel {PackagedKernel} --memory 256M --root tree";
        Outcome outcome = Laboratory.MachineHost.Run(["sh", "-c",
            $"""
            export PATH=$PATH:/usr/sbin
            mount -t tmpfs tmpfs /var/lib && mkdir -p tree/dev tree/proc tree/sys tree/tmp tree/run tree/srv || exit
            for package in {Laboratory.InLab(packages)}/*.deb; do dpkg-deb --extract $package tree || exit; done
            [ -e tree/bin/busybox ] || ln -s usr/bin tree/bin
            for name in sh stat; do ln -s busybox tree/bin/$name; done
            mknod tree/srv/zero c 1 5 && mknod -m 600 tree/srv/own b 7 0 && mkfifo tree/srv/pipe
            ln tree/usr/bin/passwd tree/srv/again && chown 7:8 tree/srv/again && chmod 4755 tree/srv/again
            format='%F %a %u:%g %h %t:%T'
            list='srv/zero srv/own srv/pipe usr/bin/passwd srv/again usr/bin/chsh usr/bin/chage usr/sbin/vigr etc/default'
            (cd tree && stat -c "$format" $list) >here
            {run} -- sh -c "cd /; stat -c '$format' $list; [ /usr/bin/passwd -ef /srv/again ] && echo 'one file'" >there
            echo $?
            grep -v 'one file' there | diff here - >&2 && echo same
            grep 'one file' there
            cat here
            """], limit: TimeSpan.FromSeconds(280));
        string[] lines = outcome.Text.TrimEnd('\n').Split('\n');
        Assert.True(lines.Length == 12 && lines[..3] is ["0", "same", "one file"], outcome.ToString());
        Assert.Equal("character special file 644 0:0 1 1:5", lines[3]);
        Assert.Equal("block special file 600 0:0 1 7:0", lines[4]);
        Assert.Equal(lines[6], lines[7]);
        Assert.StartsWith("regular file 4755 7:8 2 ", lines[7], StringComparison.Ordinal);
        Assert.StartsWith("symbolic link", lines[10], StringComparison.Ordinal);
    }

    /// <summary>Its modules are compressed with xz; it is kept first, and called by a name.</summary>
    [Fact]
    public void Debians_cloud_kernel_runs_a_program_in_an_image()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        string sandbox = Laboratory.SandboxInLab;
        Outcome outcome = Laboratory.MachineHost.Run(
            ["sh", "-c", $"""
            mount -t tmpfs tmpfs /var/lib && {sandbox} kernel add --name cloud {MachineKernel.CloudPackage} &&
                {sandbox} kernel check cloud &&
                {sandbox} run --kernel cloud --root {Image("cloud")} --memory 256M -- \
                    sh -c 'uname -r; exit 42'
            """], limit: TimeSpan.FromSeconds(280));
        Assert.True(outcome.Status == 42, outcome.ToString());
        string[] lines = outcome.Text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("cloud", lines[0]);
        Assert.Contains("-cloud-amd64", lines[^1], StringComparison.Ordinal);
        Assert.False(lines[^1].StartsWith("6.1.", StringComparison.Ordinal), lines[^1]);
    }

    [Fact]
    public void A_program_has_the_callers_terminal_and_its_size()
    {
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        string command = $"{Laboratory.SandboxInLab} run -t --kernel {PackagedKernel} --root {Image("terminal")} "
            + "--memory 256M -- sh -c 'trap \"stty size\" WINCH; tty; stty size; read -r line; echo \"got $line\"; "
            + "until [ \"$(stty size)\" = \"40 120\" ]; do sleep 0.1; done; exit 7'";
        Outcome outcome = Laboratory.MachineHost.Run(
            ["python3", "-c", TerminalScript, command], limit: TimeSpan.FromSeconds(170));
        Assert.True(outcome.Status == 7, outcome.ToString());
        Assert.Contains("/dev/pts/0", outcome.Text, StringComparison.Ordinal);
        Assert.Contains("33 99", outcome.Text, StringComparison.Ordinal);
        Assert.Contains("got typed", outcome.Text, StringComparison.Ordinal);
        // The program was told of the other size, not only given it.
        Assert.Contains("40 120", outcome.Text, StringComparison.Ordinal);
    }

    /// <summary>
    /// Runs a command at a terminal of 33 by 99, types a line, makes the terminal 40 by 120, and ends as it ended.
    /// </summary>
    const string TerminalScript =
        """
        import fcntl, os, pty, struct, sys, termios
        pid, terminal = pty.fork()
        if pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 33, 99, 0, 0))
            os.execv('/bin/sh', ['sh', '-c', 'exec ' + sys.argv[1]])
        said = b''
        while True:
            try:
                more = os.read(terminal, 4096)
            except OSError:
                break
            if b'33 99' in said + more and b'33 99' not in said:
                os.write(terminal, b'typed\n')
            if b'got typed' in said + more and b'got typed' not in said:
                fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
            said += more
        sys.stdout.buffer.write(said)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """;

    [Fact]
    public void Devices_of_the_policy_are_there_and_bulk_goes_both_ways()
    {
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        Outcome outcome = RunIn(Image("devices"), [],
            ["sh", "-c", "cat /sys/class/misc/hw_random/rng_current >&2; dd if=/dev/hwrng bs=1000 count=1 2>/dev/null | wc -c >&2; "
                + "cat | md5sum >&2; dd if=/dev/zero bs=65536 count=128 2>/dev/null"],
            new byte[4 << 20]);
        Assert.True(outcome.Status == 0, outcome.ToString());
        Assert.Equal(8 << 20, outcome.Output.Length);
        string[] lines = outcome.ErrorText.Split('\n');
        Assert.StartsWith("virtio_rng", lines[0]);
        Assert.Equal("1000", lines[1].Trim());
        // Of 4 MiB of zeros.
        Assert.StartsWith("b5cfa9d6c8febd618f91ac2843d50a1c", lines[2]);
    }

    [Fact]
    public void The_record_of_a_disk_tells_who_served_it()
    {
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        string image = Image("queues");
        Outcome outcome = Laboratory.MachineHost.Run(
            ["sh", "-c", $"""
            {Laboratory.SandboxInLab} run --kernel {PackagedKernel} --root {image} --memory 256M --json /tmp/queues -- \
                sh -c 'echo /sys/block/vda/mq/*; cat /bin/busybox | wc -c' && cat /tmp/queues
            """], limit: TimeSpan.FromSeconds(170));
        Assert.True(outcome.Status == 0, outcome.ToString());
        string[] lines = outcome.Text.Split('\n', 3);
        // The lab host has one processor, and so has the guest.
        Assert.Equal("/sys/block/vda/mq/0", lines[0]);
        using JsonDocument record = JsonDocument.Parse(lines[2]);
        JsonElement disk = record.RootElement.GetProperty("devices")[0];
        Assert.Equal(1, disk.GetProperty("queues").GetArrayLength());
        // Debian's kernel has io_uring, in the jail too; its root is only read.
        Assert.InRange(disk.GetProperty("ringRequests").GetInt64(), 10, long.MaxValue);
        Assert.Equal(0, disk.GetProperty("errors").GetInt64());
    }

    [Fact]
    public void Host_and_guest_reach_ports_of_each_other_through_sockets()
    {
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        Laboratory.Need();
        string policy = Path.Combine(Laboratory.Root, "build/test/machine/vsock.yaml");
        File.WriteAllText(policy,
            """
            version: 1
            description: A machine guest whose ports the host reaches
            extends: builtin:machine-default.yaml
            devices:
              - {device: vsock, from: /tmp/guest.sock, because: a test asks}
            """);
        File.Copy(Path.Combine(Laboratory.Image, "guests/vsock-static"), Path.Combine(Laboratory.Root, Tree("vsock"), "bin/vsock"), true);
        string command = $"{Laboratory.SandboxInLab} run --kernel {PackagedKernel} --root {Image("vsock")} --memory 256M "
            + $"--policy {LabHost.Repository}/build/test/machine/vsock.yaml -- sh -c "
            + "'echo ready; read -r line; echo $line | vsock 80; vsock 81 </dev/null; exit 9'";
        Outcome outcome = Laboratory.MachineHost.Run(["python3", "-c", VsockScript, command], limit: TimeSpan.FromSeconds(170));
        Assert.True(outcome.Status == 0, outcome.ToString());
        Assert.Equal("0o600 b'' b'end, says the host\\nConnection reset by peer\\n' 9 False\n", outcome.Text);
    }

    /// <summary>
    /// Asks a running guest for a port at which nobody listens; the guest's kernel answers, and the socket ends. Then the
    /// guest asks for two ports of the host, at one of which somebody listens.
    /// </summary>
    const string VsockScript =
        """
        import os, socket, subprocess, sys
        guest = subprocess.Popen(['sh', '-c', 'exec ' + sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        guest.stdout.readline()
        mode = oct(os.stat('/tmp/guest.sock').st_mode & 0o777)
        client = socket.socket(socket.AF_UNIX)
        client.connect('/tmp/guest.sock')
        client.sendall(b'CONNECT 5\n')
        answer = client.recv(100)
        server = socket.socket(socket.AF_UNIX)
        server.bind('/tmp/guest.sock_80')
        server.listen()
        guest.stdin.write(b'end\n')
        guest.stdin.flush()
        service, _ = server.accept()
        heard = b''.join(iter(lambda: service.recv(100), b''))
        service.sendall(heard.strip() + b', says the host\n')
        service.close()
        said, _ = guest.communicate()
        print(mode, answer, said, guest.returncode, os.path.exists('/tmp/guest.sock'))
        """;

    [Fact]
    public void What_cannot_be_started_in_an_image_is_told_as_elsewhere()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots two kernels more: ./test --lab-all");
        string image = Image("root");
        Says(RunIn(image, [], ["nothing"]), 127, "the guest sees only what its image (--root) holds");
        Says(RunIn("/etc/passwd", [], ["sh"]), 125, "--root: the image could not be mounted");
    }

    [Fact]
    public void A_writable_image_keeps_what_was_written()
    {
        string image = Image("kept");
        Assert.SkipUnless(Laboratory.All, "boots two kernels more: ./test --lab-all");
        string run = $"{Laboratory.SandboxInLab} run --kernel {PackagedKernel} --memory 256M --root image:rw --";
        Outcome outcome = Laboratory.MachineHost.Run(
            ["sh", "-c", $"cp {image} image && {run} sh -c 'echo kept >/file' && {run} cat /file"], limit: TimeSpan.FromSeconds(280));
        Says(outcome, 0, "");
        Assert.Equal("kept\n", outcome.Text);
    }
}
