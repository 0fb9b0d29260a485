using System.Globalization;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>Memory of a machine guest goes back to the host, and is the guest's again, when somebody says so.</summary>
[Collection(nameof(OnMachineHost))]
public sealed class MachineBalloonTests
{
    /// <summary>
    /// In the lab host. The guest reads a disk whenever it gets SIGUSR1: what it keeps of that is no free memory, which it
    /// would report by itself; the disk stays open, since the last who closes it gives all of that up. The VMM's resident memory, in MiB, is told after each step.
    /// </summary>
    const string Here =
        """
        truncate -s 128M disk
        cat >policy.yaml <<END
        version: 1
        extends: builtin:machine-default.yaml
        devices:
          - {device: block, from: $PWD/disk, because: a test}
        END
        id=$($sandbox run --detach --kernel $kernel --root $root --memory 256M --timeout 400s --policy policy.yaml --append noxsave \
            -- sh -c 'exec 3</dev/vdb; trap "cat /dev/vdb >/dev/null; echo read" USR1; echo awake; while :; do sleep 0.2; done')
        await() { until [ "$($sandbox logs $id | grep -c $1)" = $2 ]; do sleep 0.5; done; }
        of() { $sandbox inspect --metrics $id | sed -n "s/^sandbox_balloon_$1{.*} //p"; }
        vmm=$($sandbox inspect $id | sed -n 's/.*VMM \([0-9]*\) .*/\1/p')
        resident() { awk '/^VmRSS/ { print int($2 / 1024) }' /proc/$vmm/status; }
        await awake 1
        $sandbox kill --signal USR1 $id; await read 1
        resident
        $sandbox balloon $id 160M
        until [ "$(of actual_bytes)" -ge 150000000 ]; do sleep 0.5; done
        resident
        of guest_total_bytes
        of reports_total
        $sandbox inspect $id | grep -c -E '^(balloon: .*160 MiB wanted|guest memory: .* free, )'
        $sandbox balloon $id 1G 2>&1 || echo $?
        $sandbox balloon $id 0
        until [ "$(of actual_bytes)" = 0 ]; do sleep 0.5; done
        $sandbox kill --signal USR1 $id; await read 2
        resident
        of reports_total
        $sandbox rm $id 2>&1 | grep -c runs
        $sandbox kill $id
        """;

    [Fact]
    public void The_guest_gives_memory_back_and_takes_it_again()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        Outcome outcome = Laboratory.MachineHost.Run(["sh", "-c",
            $"""
            sandbox={Laboratory.SandboxInLab} kernel={MachineTests.PackagedKernel} root={MachineTests.Image("balloon")}
            {Here}
            """], limit: TimeSpan.FromSeconds(400));
        string[] lines = outcome.Text.TrimEnd('\n').Split('\n');
        Assert.True(lines.Length == 10, outcome.ToString());
        int full = Number(0), small = Number(1), again = Number(7);
        // Of 128 MiB that it has read, the guest can keep less than half beside the balloon.
        Assert.True(small + 48 < full && small + 48 < again, outcome.ToString());
        Assert.InRange(Number(2), 150_000_000, 256 << 20);
        // Each time that somebody asks, it tells anew.
        Assert.True(Number(3) >= 2 && Number(8) > Number(3), outcome.ToString());
        Assert.Equal("2", lines[4]);
        Assert.EndsWith("has less memory than '1G'; sandbox inspect says how much", lines[5], StringComparison.Ordinal);
        Assert.Equal(("125", "1"), (lines[6], lines[9]));

        int Number(int line) => int.Parse(lines[line], CultureInfo.InvariantCulture);
    }

    /// <summary>
    /// In the lab host. The balloon leaves the guest less than its program then touches; what is left free when that has ended
    /// goes back by itself.
    /// </summary>
    const string Pressure =
        """
        id=$($sandbox run --detach --kernel $kernel --root $root --memory 320M --timeout 400s --append noxsave \
            -- sh -c "trap '$program 150; echo ended with \$?; dmesg | grep -c -i \"killed process\"' USR1; echo awake; while :; do sleep 0.2; done")
        await() { until [ "$($sandbox logs $id | grep -c "$1")" = 1 ]; do sleep 0.5; done; }
        of() { $sandbox inspect --metrics $id | sed -n "s/^sandbox_$1{.*} //p"; }
        reported() { of device_reported_bytes_total; }
        await awake
        $sandbox balloon $id 220M
        until [ "$(of balloon_actual_bytes)" -ge 220000000 ]; do sleep 0.5; done
        of balloon_actual_bytes
        before=$(reported)
        $sandbox kill --signal USR1 $id
        await ended
        of balloon_actual_bytes
        until [ "$(reported)" -gt $((before + 20000000)) ]; do sleep 0.5; done
        echo reported
        $sandbox logs $id | tail -n 3
        $sandbox kill $id
        """;

    [Fact]
    public void A_program_that_needs_memory_gets_it_back_and_what_it_leaves_free_is_reported()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        string program = Laboratory.Compiled("memory");
        Outcome outcome = Laboratory.MachineHost.Run(["sh", "-c",
            $"""
            sandbox={Laboratory.SandboxInLab} kernel={MachineTests.PackagedKernel} program={program}
            root={MachineRoot.With("pressure", program)}
            {Pressure}
            """], limit: TimeSpan.FromSeconds(400));
        string[] lines = outcome.Text.TrimEnd('\n').Split('\n');
        Assert.True(lines.Length == 6, outcome.ToString());
        Assert.Equal(["reported", "150 MiB kept", "ended with 0", "0"], lines[2..]);
        long full = long.Parse(lines[0], CultureInfo.InvariantCulture), left = long.Parse(lines[1], CultureInfo.InvariantCulture);
        Assert.InRange(full, 220_000_000, 220 << 20);
        // Of 320 MiB the program had 150, and its kernel some.
        Assert.InRange(left, 0, full - (30 << 20));
    }
}
