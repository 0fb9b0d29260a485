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

    /// <summary>In the lab host: a block device that can give no blocks back, as the only disk beside the root.</summary>
    const string DeviceHere =
        """
        [ -b /dev/ram0 ] && dd if=/dev/urandom of=/dev/ram0 bs=1M 2>/dev/null
        cat >policy.yaml <<END
        version: 1
        extends: builtin:machine-default.yaml
        devices:
          - {device: block, from: /dev/ram0, writable: true, because: a test}
        END
        $sandbox run --kernel $kernel --root $root --memory 320M --timeout 520s --policy policy.yaml --append "$append" \
            --json result -- sh -c "$guest" >said
        grep -v '^sum ' said
        [ "sum $(dd if=/dev/ram0 bs=1M count=4 2>/dev/null | sha256sum)" = "$(grep '^sum ' said)" ] && echo "same on both sides"
        e2fsck -f -n /dev/ram0 >/dev/null 2>&1 && echo "clean on the host"
        cat result >&2
        """;

    const string DeviceGuest =
        """
        verify() { fio --name=verify --filename=/dev/vdb --direct=1 --ioengine=libaio --iodepth=8 --verify=crc32c "$@" >/tmp/fio 2>&1 || cat /tmp/fio; }
        echo "length $(blockdev --getsize64 /dev/vdb)"
        verify --rw=randwrite --bs=4k --size=4M && echo "random verified"
        verify --rw=write --bs=1m --size=8M && echo "sequential verified"
        /usr/sbin/blkdiscard -z -o 1048576 -l 2097152 /dev/vdb && echo "made zero"
        [ "$(dd if=/dev/vdb bs=1M skip=1 count=2 2>/dev/null | sha256sum)" = "$(head -c 2097152 /dev/zero | sha256sum)" ] && echo "reads as zero"
        /usr/sbin/blkdiscard -o 0 -l 1048576 /dev/vdb 2>/dev/null; echo "discard asked for"
        mkfs.ext4 -q /dev/vdb && mount /dev/vdb /mnt && cp -r /bin /mnt && rm -r /mnt/bin && umount /mnt &&
            e2fsck -f -n /dev/vdb >/dev/null 2>&1 && echo "file system clean"
        sync; echo "sum $(dd if=/dev/vdb bs=1M count=4 2>/dev/null | sha256sum)"
        """;

    [Fact]
    public void A_block_device_of_the_hosts_is_a_disk_like_an_image()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "takes minutes: ./test --lab-all");
        string root = MachineRoot.With(
            "device", "/usr/bin/fio", "/usr/sbin/mkfs.ext4", "/usr/sbin/e2fsck", "/usr/sbin/blkdiscard");
        // A host of its own: the other's is taken by the tests of control groups.
        using LabHost host = new(new LabHostOptions { Name = "device" });
        Outcome outcome = host.Run(["sh", "-c",
            $"""
            export PATH=$PATH:/usr/sbin
            sandbox={Laboratory.SandboxInLab} kernel={MachineTests.PackagedKernel} root={root}
            append='{MachineProcessorTests.Patient}'
            guest={Quoted($"export PATH=/usr/sbin:/usr/bin:/bin\n{DeviceGuest}\n{MachineProcessorTests.Complaints}\nexit 3")}
            {DeviceHere}
            """], limit: TimeSpan.FromSeconds(560));
        string[] lines = outcome.Text.TrimEnd('\n').Split('\n');
        Assert.Equal(
            [
                lines[0], "random verified", "sequential verified", "made zero", "reads as zero", "discard asked for",
                "file system clean", "same on both sides", "clean on the host",
            ],
            lines);
        Assert.Equal($"length {16 << 20}", lines[0]);
        JsonElement record = JsonDocument.Parse(outcome.ErrorText[outcome.ErrorText.IndexOf('{')..]).RootElement;
        Assert.Equal(3, record.GetProperty("status").GetInt32());
        JsonElement disk = record.GetProperty("devices").EnumerateArray()
            .Where(each => each.GetProperty("kind").GetString() == "block").ElementAt(1);
        Assert.Equal(0, disk.GetProperty("errors").GetInt64());
        Assert.True(disk.GetProperty("ranges").GetInt64() > 0 && disk.GetProperty("unsupported").GetInt64() > 0, outcome.ErrorText);
        Assert.True(disk.GetProperty("ringRequests").GetInt64() > 0, outcome.ErrorText);
    }

    /// <summary>In the lab host: vda is a disk that its bus loses while the guest writes to it.</summary>
    const string YankedHere =
        """
        device=$(readlink -f /sys/block/vda/device/..)
        truncate -s 16M other
        cat >policy.yaml <<END
        version: 1
        extends: builtin:machine-default.yaml
        devices:
          - {device: block, from: /dev/vda, writable: true, because: a test}
          - {device: block, from: $PWD/other, writable: true, because: a test}
        END
        mkfifo input
        exec 9<>input
        $sandbox run --kernel $kernel --root $root --memory 256M --timeout 400s --policy policy.yaml --append "$append" \
            --json result -- sh -c "$guest" <input | while read -r line; do
            case $line in
            writes) sleep 3; echo 1 >$device/remove; [ -b /dev/vda ] || echo "it is gone"; echo now >&9 ;;
            *) echo "$line" ;;
            esac
        done
        cat result >&2
        """;

    const string YankedGuest =
        """
        while dd if=/dev/zero of=/dev/vdb bs=64k count=64 oflag=direct conv=notrunc 2>/tmp/error; do
            [ -e /tmp/began ] || { touch /tmp/began; echo writes; }
        done &
        writer=$!
        read -r now
        wait $writer
        grep -o 'Input/output error\|No space left on device' /tmp/error | head -n 1
        dd if=/dev/vdb of=/dev/null bs=4k count=1 iflag=direct 2>&1 | grep -o 'Input/output error'
        dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null
        dd if=/tmp/data of=/dev/vdc bs=1M conv=fsync 2>/dev/null && echo 3 >/proc/sys/vm/drop_caches &&
            [ "$(head -c 4194304 /dev/vdc | sha256sum)" = "$(sha256sum </tmp/data)" ] && echo "others go on"
        exit 3
        """;

    [Fact]
    public void A_block_device_that_is_yanked_away_is_an_error_of_the_guests_and_of_nothing_else()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "takes minutes: ./test --lab-all");
        string disk = Path.Combine(Directory.CreateDirectory(Laboratory.Logs).FullName, "yanked.img");
        using (FileStream file = File.Create(disk))
            file.SetLength(64 << 20);
        using LabHost host = new(new LabHostOptions
        {
            Name = "yanked",
            Arguments =
            [
                "-drive", $"file={disk},if=none,id=yanked,format=raw", "-device", "virtio-blk-pci,drive=yanked",
            ],
        });
        Outcome outcome = host.Run(["sh", "-c",
            $"""
            sandbox={Laboratory.SandboxInLab} kernel={MachineTests.PackagedKernel} root={MachineRoot.With("yanked")}
            append='{MachineProcessorTests.Patient}'
            guest={Quoted(YankedGuest)}
            {YankedHere}
            """], limit: TimeSpan.FromSeconds(450));
        Assert.True(outcome.Text == "it is gone\nInput/output error\nInput/output error\nothers go on\n", outcome.ToString());
        JsonElement record = JsonDocument.Parse(outcome.ErrorText[outcome.ErrorText.IndexOf('{')..]).RootElement;
        Assert.Equal(("exited", 3), (record.GetProperty("cause").GetString(), record.GetProperty("status").GetInt32()));
        JsonElement[] disks = [.. record.GetProperty("devices").EnumerateArray()
            .Where(each => each.GetProperty("kind").GetString() == "block")];
        Assert.True(disks[1].GetProperty("errors").GetInt64() > 0, outcome.ErrorText);
        Assert.Equal((0, 0), (disks[0].GetProperty("errors").GetInt32(), disks[2].GetProperty("errors").GetInt32()));
    }
}
