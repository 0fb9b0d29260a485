using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Devices.Vsock;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Devices;

// What is on its way at an end: of a connection, and of the guest.
public sealed unsafe partial class VsockTests
{
    [Fact]
    public void What_waits_at_the_guests_end_arrives_and_then_the_end()
    {
        Open();
        int sent = Fill();
        _device.EndGuest();
        Assert.Equal(sent, HostReadsToTheEnd());
    }

    [Fact]
    public void Clients_of_a_guest_that_has_ended_are_not_kept_waiting()
    {
        FileDescriptor greeting = Dial(), requested = Dial();
        requested.Write("CONNECT 52\n"u8);
        Assert.Equal(VIRTIO_VSOCK_OP_REQUEST, Receive().Head.op);
        _device.EndGuest();
        _driver.Run();
        FileDescriptor late = Dial();
        _driver.Run();
        foreach (FileDescriptor client in new[] { greeting, requested, late })
            Assert.Equal(0, client.Read(new byte[1]));
        Assert.Equal(0, _device.Connections);
    }

    /// <summary>As Linux does 8 s after it has ended one.</summary>
    [Fact]
    public void What_waits_of_a_connection_that_was_ended_arrives_after_its_reset()
    {
        Open();
        int sent = Fill();
        Send(Head(VIRTIO_VSOCK_OP_SHUTDOWN, 77) with { flags = 3 });
        Send(Head(VIRTIO_VSOCK_OP_RST, 77));
        // Its ports are free, and nothing more is said of it.
        FileDescriptor first = Host;
        Open();
        AssertNothing();
        Assert.Equal(2, _device.Connections);
        _open.Add(first);
        Assert.Equal(sent, HostReadsToTheEnd());
        AssertNothing();
        Assert.Equal(1, _device.Connections);
        _open.RemoveAt(_open.Count - 1);
    }

    [Fact]
    public void What_waits_of_a_connection_that_was_not_ended_goes_with_its_reset()
    {
        Open();
        int sent = Fill();
        Send(Head(VIRTIO_VSOCK_OP_RST, 77));
        Assert.Equal(0, _device.Connections);
        Assert.InRange(HostReadsToTheEnd(), 1, sent - 1);
    }

    /// <summary>Sends until the host's socket takes no more, which tells what it takes, and some waits here.</summary>
    private int Fill()
    {
        byte[] piece = new byte[32 << 10];
        int sent = 0;
        do
        {
            Send(Head(VIRTIO_VSOCK_OP_RW, 77, length: (uint)piece.Length), piece);
            sent += piece.Length;
        }
        while (Receive().Head.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE);
        return sent;
    }

    private int HostReadsToTheEnd()
    {
        byte[] piece = new byte[32 << 10];
        int got = 0;
        for (int turns = 0; turns < 10_000; turns++)
        {
            _driver.Run();
            int read = (int)Host.Read(piece);
            if (read == 0)
                break;
            got += Math.Max(read, 0);
        }
        Assert.Equal(0, Host.Read(piece));
        return got;
    }
}
