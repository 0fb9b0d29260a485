using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>A machine guest under load, on a kernel that checks the order of its locks.</summary>
[Collection(nameof(Alone))]
public sealed class MachineStressTests
{
    /// <summary>In the guest: vdb is a disk that is written, and /tmp is in memory.</summary>
    const string Guest =
        """
        mkfs.ext4 -q /dev/vdb && mount /dev/vdb /mnt || exit 8
        while cat /dev/hwrng; do :; done >/dev/null 2>&1 &
        stress-ng --timeout 300s --temp-path /mnt --cpu 1 --vm 1 --vm-bytes 48M --fork 1 --pipe 1 --sock 1 --timer 1 \
            --futex 1 --mmap 1 --mmap-bytes 16M --hdd 1 --hdd-bytes 8M --iomix 1 --iomix-bytes 8M --switch 1 --sem 1 \
            >/tmp/stress 2>&1 || cat /tmp/stress
        kill $!
        umount /mnt && e2fsck -f -n /dev/vdb >/dev/null 2>&1 && echo "file system clean"
        grep -c 'successful run completed' /tmp/stress
        # The kernel stops looking at the first fault that it finds.
        echo "debug_locks $(sed -n 's/^ *debug_locks: *//p' /proc/lockdep_stats)"
        """;

    [Fact]
    public void Five_minutes_of_load_leave_the_kernel_without_a_complaint()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "takes minutes: ./test --lab-all");
        const string program = "/usr/bin/stress-ng";
        string root = MachineRoot.With("stress", program, "/usr/sbin/mkfs.ext4", "/usr/sbin/e2fsck");
        string policy = Laboratory.Written("stress.yaml",
            """
            version: 1
            extends: builtin:machine-default.yaml
            devices:
              - {device: block, from: /tmp/stress-disk, writable: true, because: a test}
            """);
        string script = Laboratory.Written("stress.sh",
            $"""
            export PATH=/usr/sbin:/usr/bin:/bin
            {Guest}
            {MachineProcessorTests.Complaints}
            exit 5
            """);
        Outcome outcome = Laboratory.MachineHost.Run(["sh", "-c",
            $"""
            truncate -s 64M /tmp/stress-disk
            {Laboratory.SandboxInLab} run --kernel {MachineKernel.Checked} --root {root} --memory 384M --cpus 2 \
                --append '{MachineProcessorTests.Patient}' --policy {policy} -- sh -c "$(cat {script})"
            """], limit: TimeSpan.FromSeconds(570));
        Assert.True(outcome.Status == 5, outcome.ToString());
        Assert.Equal("file system clean\n1\ndebug_locks 1\n", outcome.Text);
    }
}
