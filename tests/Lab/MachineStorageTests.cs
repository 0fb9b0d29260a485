using System.Globalization;
using System.Text.Json;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>Disks that a machine guest has by its policy, under Debian's file system and fio.</summary>
[Collection(nameof(OnMachineHost))]
public sealed class MachineStorageTests
{
    /// <summary>In the lab host: a disk, one that is read-only, one that is cut short while the guest runs.</summary>
    const string Here =
        """
        truncate -s 48M disk
        truncate -s 8M short
        dd if=/dev/urandom of=fixed bs=1M count=2 2>/dev/null
        sum() { sha256sum <"$1" | cut -d ' ' -f 1; }
        before=$(sum fixed)
        cat >policy.yaml <<END
        version: 1
        extends: builtin:machine-default.yaml
        devices:
          - {device: block, from: $PWD/disk, writable: true, because: a test}
          - {device: block, from: $PWD/fixed, because: a test}
          - {device: block, from: $PWD/short, writable: true, because: a test}
        END
        mkfifo input
        exec 9<>input
        $sandbox run --kernel $kernel --root $root --memory 320M --timeout 520s --policy policy.yaml --append noxsave \
            --json result -- sh -c "$guest" <input | while read -r line; do
            case $line in
            "cut") truncate -s 4M short; echo now >&9 ;;
            "sum "*) [ "${line#sum }" = "$(sum disk)" ] && echo "same on both sides"; echo next >&9 ;;
            *) echo "$line" ;;
            esac
        done
        [ "$(sum fixed)" = "$before" ] && echo "as it was"
        e2fsck -f -n disk >/dev/null 2>&1 && echo "clean on the host"
        cat result >&2
        """;

    /// <summary>In the guest: vda is its root, vdb to vdd are the policy's, in their order.</summary>
    const string Guest =
        """
        verify() { fio --name=verify --filename=/dev/vdb --direct=1 --ioengine=libaio --iodepth=8 --verify=crc32c "$@" >/tmp/fio 2>&1 || cat /tmp/fio; }
        verify --rw=randwrite --bs=4k --size=4M && echo "random verified"
        verify --rw=write --bs=1m --size=32M && echo "sequential verified"
        fio --name=flush --filename=/dev/vdb --rw=write --bs=4k --size=256k --fsync=1 >/tmp/fio 2>&1 && echo flushed
        mkfs.ext4 -q /dev/vdb && mount /dev/vdb /mnt && dd if=/dev/urandom of=/mnt/file bs=64k count=64 2>/dev/null
        cp -r /bin /mnt && rm -r /mnt/bin && sum=$(sha256sum </mnt/file) && umount /mnt && mount /dev/vdb /mnt &&
            [ "$sum" = "$(sha256sum </mnt/file)" ] && umount /mnt && e2fsck -f -n /dev/vdb >/dev/null 2>&1 && echo "file system clean"
        sync; echo "sum $(sha256sum </dev/vdb | cut -d ' ' -f 1)"; read -r next
        dd if=/dev/zero of=/dev/vdc bs=4k count=1 conv=fsync 2>/dev/null || echo "read-only refused"
        [ "$(blockdev --getro /dev/vdc)" = 1 ] && sha256sum </dev/vdc >/dev/null && echo "read-only read"
        echo cut; read -r now
        dd if=/dev/vdd of=/dev/null bs=1M skip=3 count=1 2>/dev/null && echo "before the cut read"
        dd if=/dev/vdd of=/dev/null bs=1M skip=5 count=1 2>&1 | grep -o "Input/output error"
        dd if=/dev/vdb of=/dev/null bs=1M count=1 2>/dev/null && echo "others go on"
        dmesg | grep -E "BUG:|Oops|stall|Call Trace|WARNING|hung task"
        exit 3
        """;

    static string Quoted(string text) => "'" + text.Replace("'", "'\\''") + "'";

    [Fact]
    public void Disks_keep_what_is_written_refuse_what_they_must_and_outlive_their_image()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "takes minutes: ./test --lab-all");
        string root = MachineRoot.With("storage", "/usr/bin/fio", "/usr/sbin/mkfs.ext4", "/usr/sbin/e2fsck");
        Outcome outcome = Laboratory.MachineHost.Run(["sh", "-c",
            $"""
            export PATH=$PATH:/usr/sbin
            sandbox={Laboratory.SandboxInLab} kernel={MachineTests.PackagedKernel} root={root}
            guest={Quoted("export PATH=/usr/sbin:/usr/bin:/bin\n" + Guest)}
            {Here}
            """], limit: TimeSpan.FromSeconds(560));
        Assert.Equal(
            [
                "random verified", "sequential verified", "flushed", "file system clean", "same on both sides", "read-only refused",
                "read-only read", "before the cut read", "Input/output error", "others go on", "as it was", "clean on the host",
            ],
            outcome.Text.TrimEnd('\n').Split('\n'));
        JsonElement record = JsonDocument.Parse(outcome.ErrorText[outcome.ErrorText.IndexOf('{')..]).RootElement;
        Assert.Equal(3, record.GetProperty("status").GetInt32());
        JsonElement[] disks = [.. record.GetProperty("devices").EnumerateArray().Where(each => each.GetProperty("kind").GetString() == "block")];
        Assert.Equal(4, disks.Length);
        // fio's 64, and the file system's.
        Assert.True(disks[1].GetProperty("flushes").GetInt64() >= 64, outcome.ErrorText);
        Assert.Equal((0, 0), (disks[1].GetProperty("errors").GetInt32(), disks[2].GetProperty("writtenBytes").GetInt32()));
        Assert.True(disks[3].GetProperty("errors").GetInt32() > 0, outcome.ErrorText);
    }

    const int Rate = 256 << 10;

    /// <summary>In the lab host: a disk, one with a rate, and one that fio has written and that is read-only.</summary>
    const string ModesHere =
        """
        truncate -s 48M disk
        truncate -s 8M rated
        fio --name=pattern --filename=fixed --rw=write --bs=4k --size=4M --ioengine=psync --verify=crc32c --do_verify=0 >/dev/null
        cat >policy.yaml <<END
        version: 1
        extends: builtin:machine-default.yaml
        devices:
          - {device: block, from: $PWD/disk, writable: true, because: a test}
          - {device: block, from: $PWD/rated, writable: true, rate: 256K, because: a test}
          - {device: block, from: $PWD/fixed, because: a test}
        END
        $sandbox run --kernel $kernel --root $root --memory 320M --cpus 2 --timeout 520s --policy policy.yaml --append "$append" \
            --json result -- sh -c "$guest"
        e2fsck -f -n disk >/dev/null 2>&1 && echo "clean on the host"
        cat result >&2
        """;

    const string ModesGuest =
        """
        verify() { fio --name=verify --direct=1 --ioengine=libaio --verify=crc32c "$@" >/tmp/fio 2>&1 || cat /tmp/fio; }
        echo "queues $(ls /sys/block/vdb/mq | wc -l)"
        # Both processors write at once, each to its own half.
        verify --filename=/dev/vdb --rw=randwrite --bs=4k --iodepth=16 --size=4M --numjobs=2 --offset_increment=24M &&
            echo "random verified"
        verify --filename=/dev/vdb --rw=randrw --bsrange=512-128k --iodepth=8 --size=16M && echo "mixed verified"
        verify --filename=/dev/vdd --readonly --rw=read --bs=4k --iodepth=8 --size=4M && echo "read-only verified"
        read -r start rest </proc/uptime
        verify --filename=/dev/vdc --rw=write --bs=16k --iodepth=4 --size=2M && echo "rate verified"
        read -r end rest </proc/uptime
        mkfs.ext4 -q /dev/vdb && mount /dev/vdb /mnt && cp -r /bin /mnt && rm -r /mnt/bin && umount /mnt &&
            e2fsck -f -n /dev/vdb >/dev/null 2>&1 && echo "file system clean"
        echo "$start $end" | awk '{ print "seconds " $2 - $1 }'
        """;

    /// <summary>With the kernel's ring, and on a host that has none.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Several_queues_a_rate_and_a_disk_that_is_read_only_keep_what_fio_wrote(bool isRing)
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "takes minutes: ./test --lab-all");
        string root = MachineRoot.With($"modes-{isRing}", "/usr/bin/fio", "/usr/sbin/mkfs.ext4", "/usr/sbin/e2fsck");
        string wrapper = isRing ? "" : Laboratory.InLab(Laboratory.Compiled("without-io-uring"));
        Outcome outcome = Laboratory.MachineHost.Run(["sh", "-c",
            $"""
            export PATH=$PATH:/usr/sbin
            sandbox='{wrapper} {Laboratory.SandboxInLab}' kernel={MachineTests.PackagedKernel} root={root}
            append='{MachineProcessorTests.Patient}'
            guest={Quoted($"export PATH=/usr/sbin:/usr/bin:/bin\n{ModesGuest}\n{MachineProcessorTests.Complaints}\nexit 3")}
            {ModesHere}
            """], limit: TimeSpan.FromSeconds(560));
        string[] lines = outcome.Text.TrimEnd('\n').Split('\n');
        Assert.Equal(
            [
                "queues 2", "random verified", "mixed verified", "read-only verified", "rate verified", "file system clean",
                "clean on the host",
            ],
            lines.Where(line => !line.StartsWith("seconds ", StringComparison.Ordinal)));
        // 2 MiB were written and read again; a tenth of a second's may go at once. Starting fio takes seconds, too.
        double seconds = double.Parse(lines[^2]["seconds ".Length..], CultureInfo.InvariantCulture);
        Assert.InRange(seconds, (4 << 20) / (double)Rate - 0.1, (4 << 20) / (double)Rate * 1.5);
        JsonElement record = JsonDocument.Parse(outcome.ErrorText[outcome.ErrorText.IndexOf('{')..]).RootElement;
        JsonElement[] disks = [.. record.GetProperty("devices").EnumerateArray().Where(each => each.GetProperty("kind").GetString() == "block")];
        Assert.All(disks, disk => Assert.Equal(0, disk.GetProperty("errors").GetInt64()));
        Assert.All(disks, disk => Assert.Equal(isRing, disk.GetProperty("ringRequests").GetInt64() > 0));
        Assert.All(disks[1].GetProperty("queues").EnumerateArray(), queue => Assert.True(queue.GetProperty("count").GetInt64() > 100));
        Assert.True(disks[2].GetProperty("throttled").GetInt64() > 10, outcome.ErrorText);
    }
}
