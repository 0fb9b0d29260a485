using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>Bulk through a machine guest's socket device, by connections of either side.</summary>
[Collection(nameof(OnMachineHost))]
public sealed class MachineSocketTests
{
    const long Size = 1L << 30;

    [Fact]
    public void A_GiB_goes_each_way_through_the_hosts_socket()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "takes minutes: ./test --lab-all");
        string bulk = Laboratory.Compiled("bulk");
        string root = MachineRoot.With("sockets", bulk);
        string policy = Laboratory.Written("bulk.yaml",
            """
            version: 1
            extends: builtin:machine-default.yaml
            devices:
              - {device: vsock, from: /tmp/bulk.sock, because: a test}
            """);
        Outcome outcome = Laboratory.MachineHost.Run(["sh", "-c",
            $"""
            bulk={Laboratory.InLab(bulk)}
            $bulk serve /tmp/bulk.sock_81 >served &
            {Laboratory.SandboxInLab} run --kernel {MachineTests.PackagedKernel} --root {root} --memory 256M --append {MachineTests.Sane} \
                --policy {policy} -- sh -c '{bulk} listen 7 && echo next && {bulk} dial 81 {Size}' >guest &
            until grep -q listening guest; do sleep 0.5; done
            $bulk connect /tmp/bulk.sock 7 {Size} || exit
            wait $!
            status=$?
            sed -n '/next/,$p' guest
            exit $status
            """], limit: TimeSpan.FromSeconds(580));
        Assert.True(outcome.Status == 0, outcome.ToString());
        string[] lines = outcome.Text.TrimEnd('\n').Split('\n');
        Assert.Equal(5, lines.Length);
        Assert.StartsWith($"sent {Size} ", lines[0], StringComparison.Ordinal);
        Assert.Equal([lines[0].Replace("sent", "got"), "next", lines[0], lines[0].Replace("sent", "got")], lines[1..]);
    }
}
