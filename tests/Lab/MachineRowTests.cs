using System.Formats.Tar;
using Sandbox.EndToEnd.Harness;
using Sandbox.Escape;
using Sandbox.Filters;
using Sandbox.Supervisor.Jail;
using Sandbox.Vmm;

namespace Sandbox.Lab;

/// <summary>
/// Rows of the filters that no machine guest needs are found: guests use every device in every way, and strace records what
/// their VMM does for it, behind Landlock and without filters. What process guests need is for the escape ring's RowTests.
/// </summary>
[Collection(nameof(OnMachineHost))]
public sealed class MachineRowTests
{
    /// <summary>Reasons of rows that a recording shows by chance: Linux resets no disk that still works.</summary>
    static readonly string[] s_unseen =
        ["an agent that is slow to take what it is told is waited for", "those under way are waited for, at a reset"];

    /// <summary>A guest with all devices, whose caller and whose network are slow, and one with a console and no io_uring.</summary>
    const string Here =
        """
        ip link set lo up
        ip tuntap add dev tap0 mode tap
        ip address add 10.9.0.1/24 dev tap0
        ip link set tap0 up
        truncate -s 16M disk
        mkdir record
        record() { strace -ff -e raw=all -e inject=clone3:error=ENOSYS -o record/t "$@"; }
        cat >devices.yaml <<END
        version: 1
        extends: builtin:machine-default.yaml
        devices:
          - {device: block, from: $PWD/disk, writable: true, because: a test}
          - {device: vsock, from: $PWD/socket, because: a test}
          - {device: network, because: a test}
        END
        cat >console.yaml <<END
        version: 1
        extends: builtin:machine-default.yaml
        devices:
          - {device: virtio-console, because: a test}
          - {device: block, from: $PWD/disk, writable: true, because: a test}
        END
        mkfifo input
        exec 9<>input
        record $sandbox run --timeout 300s --name recorded --kernel $kernel --root $root --memory 256M --append noxsave --policy devices.yaml \
            --tap tap0,address=10.9.0.2/24 -- sh -c "$guest" <input 2>said | (sleep 20; cat >out) &
        guest=$!
        trap 'cat said >&2' EXIT
        until grep -q listening said; do sleep 0.5; done
        $bulk connect socket 7 1000000 >&2
        $sandbox pause recorded
        $sandbox resume recorded
        $sandbox kill --signal HUP recorded
        $sandbox balloon recorded 64M
        $sandbox balloon recorded 0
        $bulk serve socket_81 >&2 &
        server=$!
        until [ -S socket_81 ]; do sleep 0.1; done
        # Who connects to it finds a place in its backlog, and nobody who reads.
        kill -STOP $server
        echo next >&9
        until grep -q dialling said; do sleep 0.5; done
        sleep 5
        kill -CONT $server
        wait $guest
        record -e inject=io_uring_setup:error=ENOSYS $sandbox run --kernel $kernel --initrd $initrd --memory 256M --append noxsave \
            --timeout 200s --policy console.yaml <script >&2
        echo "ended $?" >&2
        tar -c -C record .
        """;

    const string Guest =
        """
        trap "echo hung up >&2" HUP
        dd if=/dev/hwrng of=/tmp/random bs=1000 count=1
        bulk listen 7 >&2
        head -c 1000000 /dev/zero
        dd if=/tmp/random of=/dev/vdb bs=64k conv=fsync
        dd if=/dev/vdb of=/dev/null bs=64k count=10
        blkdiscard -f /dev/vdb || blkdiscard /dev/vdb
        ping -c 2 10.9.0.1 >&2
        until read -r next; do :; done
        echo dialling >&2
        bulk dial 81 8000000 >&2
        """;

    const string Console =
        """
        # Which of the first two needs the other differs between kernels.
        for module in virtio_ring virtio virtio_ring virtio_mmio virtio_console virtio_blk; do insmod /modules/$module.ko; done
        mount -t devtmpfs dev /dev
        until [ -c /dev/hvc0 -a -b /dev/vda ]; do sleep 0.1; done
        # A shell at a terminal would throw away what has come before it.
        while read -r line; do eval "$line"; done </dev/hvc0 >/dev/hvc0 2>&1
        """;

    [Fact]
    public void Every_row_is_needed_by_some_machine_guest()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "records minutes of system calls: ./test --lab-all");
        string bulk = Laboratory.Compiled("bulk");
        string folder = Path.Combine(Laboratory.Root, "build/test/machine/recorded");
        Directory.CreateDirectory(folder);
        // Without namespaces the numbers of threads are the recorder's; clone3 is refused as the filters would.
        ManagedSupervisor.CopyTo(folder, JailWalls.NoNewPrivileges | JailWalls.Limits | JailWalls.Landlock);
        foreach (string program in new[] { "sandbox-vmm", "sandbox-agent" })
            File.Copy(Path.Combine(Laboratory.Root, "build/bin", program), Path.Combine(folder, program), overwrite: true);
        string initrd = MachineTests.Initramfs("recorded-console", Console,
            ["virtio", "virtio_ring", "virtio_mmio", "virtio_console", "virtio_blk"]);
        string script = Laboratory.Written("recorded-script",
            """
            dd if=/dev/vda of=/dev/null bs=64k count=10
            dd if=/dev/zero of=/dev/vda bs=64k count=10 conv=fsync
            poweroff -f

            """);
        Outcome outcome = Laboratory.MachineHost.Run(["unshare", "-n", "sh", "-ec",
            $"""
            export PATH=$PATH:/usr/sbin
            sandbox={Laboratory.InLab(folder)}/sandbox kernel={MachineTests.PackagedKernel} bulk={Laboratory.InLab(bulk)}
            root={MachineRoot.With("recorded", bulk)} initrd={initrd}
            cp {script} script
            guest='{Guest.Replace("bulk", bulk)}'
            {Here}
            """], limit: TimeSpan.FromSeconds(580));
        Assert.True(outcome.Status == 0, outcome.ErrorText);
        Assert.Contains("hung up", outcome.ErrorText, StringComparison.Ordinal);
        Assert.Contains("ended 0", outcome.ErrorText, StringComparison.Ordinal);
        string record = Path.Combine(Laboratory.Root, "build/test/machine/record");
        if (Directory.Exists(record))
            Directory.Delete(record, recursive: true);
        Directory.CreateDirectory(record);
        TarFile.ExtractToDirectory(new MemoryStream(outcome.Output), record, overwriteFiles: true);
        TraceReport report = new();
        report.Read(record);
        // The runtime's /dev/urandom, which an empty root does not have.
        Assert.All(report.Forbidden, call => Assert.StartsWith("read: ", call, StringComparison.Ordinal));
        Rule[] rows = [.. RuleTable.All.Where(row => (row.Needs & GuestNeeds.Machine) != 0)];
        Assert.Empty(s_unseen.Except(rows.Select(row => row.Reason)));
        Assert.Empty(report.Unused.Intersect(rows).Where(row => !s_unseen.Contains(row.Reason))
            .Select(row => $"{row.Name}: {row.Reason}"));
    }
}
