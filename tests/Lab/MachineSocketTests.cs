using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>Bulk through a machine guest's socket device.</summary>
public sealed class MachineSocketTests
{
    /// <summary>Arguments: the command of a guest that serves port 7, then port 8. Prints whether what went through is the same.</summary>
    const string Script =
        """
        import hashlib, os, socket, subprocess, sys
        SIZE = 64 << 20
        guest = subprocess.Popen(['sh', '-c', 'exec ' + sys.argv[1]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

        def connect(port):
            assert guest.stdout.readline() == b'listening\n'
            client = socket.socket(socket.AF_UNIX)
            client.connect('/tmp/bulk.sock')
            client.sendall(b'CONNECT %d\n' % port)
            stream = client.makefile('rb')
            assert stream.readline().startswith(b'OK ')
            return client, stream

        client, stream = connect(7)
        block = os.urandom(1 << 20)
        sum = hashlib.sha256()
        for _ in range(SIZE // len(block)):
            client.sendall(block)
            sum.update(block)
        client.shutdown(socket.SHUT_WR)
        print('to the guest', stream.read().split()[0].decode() == sum.hexdigest(), flush=True)
        client, stream = connect(8)
        sum, size = hashlib.sha256(), 0
        while piece := stream.read(1 << 20):
            sum.update(piece)
            size += len(piece)
        said, _ = guest.communicate()
        print('from the guest', size == SIZE, said.split()[0].decode() == sum.hexdigest(), guest.returncode)
        """;

    [Fact]
    public void Sixty_four_MiB_go_both_ways_through_the_hosts_socket()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "takes minutes: ./test --lab-all");
        string folder = Path.Combine(Laboratory.Root, "build/test/machine");
        Directory.CreateDirectory(folder);
        Assert.True(Laboratory.Made(out string said, "gcc", "-O1", "-static", "-o", Path.Combine(folder, "vsock-serve"),
            Path.Combine(Laboratory.Root, "tests/Lab/vsock-serve.c")), said);
        File.WriteAllText(Path.Combine(folder, "bulk.yaml"),
            """
            version: 1
            extends: builtin:machine-default.yaml
            devices:
              - {device: vsock, from: /tmp/bulk.sock, because: a test}
            """);
        string root = MachineRoot.With("sockets", Path.Combine(folder, "vsock-serve"));
        string serve = Path.Combine(folder, "vsock-serve");
        string command = $"{Laboratory.SandboxInLab} run --kernel {MachineTests.PackagedKernel} --root {root} --memory 320M --append noxsave "
            + $"--policy {LabHost.Repository}/build/test/machine/bulk.yaml -- sh -c '{serve} 7 sha256sum; "
            + $"dd if=/dev/urandom of=/tmp/block bs=1M count=1 2>/dev/null; for i in $(seq 64); do cat /tmp/block; done >/tmp/bulk; "
            + $"{serve} 8 cat /tmp/bulk; sha256sum /tmp/bulk'";
        Outcome outcome = Laboratory.MachineHost.Run(["python3", "-c", Script, command], limit: TimeSpan.FromSeconds(560));
        Assert.True(outcome.Status == 0, outcome.ToString());
        Assert.Equal("to the guest True\nfrom the guest True True 0\n", outcome.Text);
    }
}
