using System.Security.Cryptography;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>Lab hosts that see each other, as the two sides of a migration have to.</summary>
[Collection(nameof(Alone))]
public sealed class LabPairTests
{
    const string Here = "10.8.0.1", There = "10.8.0.2";

    [Fact]
    public async Task What_one_host_sends_reaches_the_other()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots two hosts: ./test --lab-all");
        byte[] content = new byte[1 << 20];
        new Random(1).NextBytes(content);
        using LabPair pair = new("pair");
        foreach ((LabHost host, string address) in new[] { (pair.First, Here), (pair.Second, There) })
        {
            Outcome up = host.Run(["sh", "-ec", $"ip link set lo up; ip address add {address}/24 dev eth0; ip link set eth0 up"]);
            Assert.True(up.Status == 0, up.ToString());
        }
        Task<Outcome> receives = Task.Run(() => pair.Second.Run(["python3", "-c", Receive, There]));
        Outcome sent = pair.First.Run(["sh", "-c", $"busybox ping -c 3 -W 5 {There} >&2 && python3 -c \"$0\" {There}", Send], content);
        Assert.True(sent.Status == 0, sent.ToString());
        Assert.Contains("3 packets received", sent.ErrorText, StringComparison.Ordinal);
        Outcome received = await receives;
        Assert.Equal($"{Here} {Convert.ToHexStringLower(SHA256.HashData(content))}\n", received.Text);
        Assert.Equal("heard\n", sent.Text);
    }

    const string Receive =
        """
        import hashlib, socket, sys
        connection, peer = socket.create_server((sys.argv[1], 9000)).accept()
        digest = hashlib.sha256(b''.join(iter(lambda: connection.recv(65536), b'')))
        connection.sendall(b'heard\n')
        print(peer[0], digest.hexdigest())
        """;

    /// <summary>The other side may not listen yet.</summary>
    const string Send =
        """
        import socket, sys, time
        for attempt in range(200):
            try:
                connection = socket.create_connection((sys.argv[1], 9000), timeout=60)
                break
            except ConnectionRefusedError:
                time.sleep(0.2)
        connection.sendall(sys.stdin.buffer.read())
        connection.shutdown(socket.SHUT_WR)
        print(connection.recv(100).decode(), end='')
        """;
}
