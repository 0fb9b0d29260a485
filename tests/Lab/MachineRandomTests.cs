using System.Text.Json;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>Random numbers of a machine guest, as many a second as its policy gives.</summary>
[Collection(nameof(OnMachineHost))]
public sealed class MachineRandomTests
{
    const int Rate = 32 << 10, Seconds = 20;

    [Fact]
    public void A_guest_that_asks_without_end_gets_its_rate_and_no_more()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        string policy = Laboratory.Written("random.yaml",
            $$"""
            version: 1
            guest:
              kind: machine
              platforms: kvm
              cpus: 1
              memory: 256M
              time: 1h
              cpu-time: none
              processes: 1
              open-files: 64
              output: none
              tmp-size: 0
            devices:
              - {device: console, because: every guest has one}
              - {device: random, rate: {{Rate}}, because: a test}
            """);
        Outcome outcome = Laboratory.MachineHost.Run(["sh", "-c",
            $"""
            {Laboratory.SandboxInLab} run --kernel {MachineTests.PackagedKernel} --root {MachineRoot.With("random")} \
                --append {MachineTests.Sane} --policy {policy} --json result -- \
                sh -c 'timeout {Seconds} cat /dev/hwrng >/tmp/random; stat -c %s /tmp/random; gzip </tmp/random | wc -c' &&
                cat result
            """], limit: TimeSpan.FromSeconds(170));
        Assert.True(outcome.Status == 0, outcome.ToString());
        string[] lines = outcome.Text.Split('\n', 3);
        long got = long.Parse(lines[0]);
        // What does not wait for the driver's next request waits for the rate.
        Assert.InRange(got, Rate * Seconds / 2, Rate * Seconds + Rate);
        // It is not to be packed.
        Assert.True(long.Parse(lines[1]) > got, outcome.Text);
        JsonElement record = JsonDocument.Parse(lines[2]).RootElement;
        JsonElement device = record.GetProperty("devices").EnumerateArray().Single(
            each => each.GetProperty("kind").GetString() == "rng");
        Assert.True(device.GetProperty("throttled").GetInt64() > 10, outcome.Text);
        // The bucket was full at first, and holds a tenth of a second's.
        double seconds = record.GetProperty("wallMicroseconds").GetInt64() / 1e6 + 0.1;
        Assert.InRange(device.GetProperty("randomBytes").GetInt64(), got, (long)(Rate * seconds));
    }
}
