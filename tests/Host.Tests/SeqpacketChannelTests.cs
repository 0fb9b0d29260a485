using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Host.Tests;

[Collection(nameof(Alone))]
public sealed unsafe class SeqpacketChannelTests : IDisposable
{
    private readonly SeqpacketChannel _ours;
    private readonly SeqpacketChannel _theirs;
    private readonly int _open;

    public SeqpacketChannelTests()
    {
        var (first, second) = SeqpacketChannel.CreatePair();
        _ours = new SeqpacketChannel(first);
        _theirs = new SeqpacketChannel(second);
        // What earlier tests have dropped must not be closed while this one counts.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        _open = FileDescriptorTests.CountOpen();
    }

    public void Dispose()
    {
        _ours.Dispose();
        _theirs.Dispose();
    }

    private struct Message
    {
        public long A;
        public int B;
        public int C;
    }

    [Fact]
    public void A_message_arrives_whole_and_in_order()
    {
        for (var i = 0; i < 10; i++)
            _theirs.Send(new Message { A = i, B = -i, C = 7 });
        for (var i = 0; i < 10; i++)
        {
            Assert.True(_ours.Receive(out Message message));
            Assert.Equal((i, -i, 7), (message.A, message.B, message.C));
        }
    }

    [Fact]
    public void A_send_that_must_not_wait_says_when_nobody_reads()
    {
        var sent = 0;
        while (sent < 1_000_000 && _theirs.SendUnlessFull(new Message { A = sent }))
            sent++;
        Assert.InRange(sent, 10, 999_999);
        Assert.True(_ours.Receive(out Message message));
        Assert.Equal(0, message.A);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(252)]
    [InlineData(SeqpacketChannel.MaxDescriptors)]
    public void Descriptors_arrive_in_order_and_closed_on_exec(int count)
    {
        var sent = Files(count);
        _theirs.Send(new Message { A = count }, sent);
        Assert.True(_ours.Receive(out Message message, count, out var received));
        Assert.Equal(count, message.A);
        Assert.Equal(count, received.Length);
        for (var i = 0; i < count; i++)
        {
            Assert.Equal(0, sent[i].GetStatus(out var before));
            Assert.Equal(0, received[i].GetStatus(out var after));
            Assert.Equal(before.st_ino, after.st_ino);
            Assert.Equal(FD_CLOEXEC, fcntl(received[i].Value, F_GETFD, (nint)0));
        }
        Close(sent);
        Close(received);
        Assert.Equal(_open, FileDescriptorTests.CountOpen());
    }

    [Fact]
    public void Room_for_descriptors_does_not_require_any()
    {
        _theirs.Send(new Message { A = 1 });
        Assert.True(_ours.Receive(out Message message, SeqpacketChannel.MaxDescriptors, out var received));
        Assert.Equal(1, message.A);
        Assert.Empty(received);
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 1)]
    [InlineData(3, 2)]
    [InlineData(SeqpacketChannel.MaxDescriptors, 1)]
    [InlineData(SeqpacketChannel.MaxDescriptors, 252)]
    public void More_descriptors_than_allowed_are_an_error_and_all_closed(int count, int allowed)
    {
        var sent = Files(count);
        _theirs.Send(default(Message), sent);
        Close(sent);
        var failure = Assert.Throws<HostException>(() => _ours.Receive(out Message _, allowed, out _));
        Assert.Equal(EBADMSG, failure.Errno);
        Assert.Equal(_open, FileDescriptorTests.CountOpen());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(17)]
    [InlineData(4096)]
    public void Another_size_is_an_error_and_the_next_message_is_intact(int size)
    {
        Assert.Equal(size, _theirs.Socket.Write(new byte[size]));
        _theirs.Send(new Message { A = 5 });
        var failure = Assert.Throws<HostException>(() => _ours.Receive(out Message _));
        Assert.Equal(EBADMSG, failure.Errno);
        Assert.True(_ours.Receive(out Message message));
        Assert.Equal(5, message.A);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(17)]
    public void Descriptors_of_a_bad_message_are_closed(int size)
    {
        var sent = Files(2);
        SendRaw(size, sent);
        Close(sent);
        Assert.Equal(EBADMSG, Assert.Throws<HostException>(() => _ours.Receive(out Message _, 8, out _)).Errno);
        Assert.Equal(_open, FileDescriptorTests.CountOpen());
    }

    [Fact]
    public void An_empty_message_with_descriptors_is_an_error_and_they_are_closed()
    {
        var sent = Files(2);
        SendRaw(0, sent);
        Close(sent);
        Assert.Equal(EBADMSG, Assert.Throws<HostException>(() => _ours.Receive(out Message _, 8, out _)).Errno);
        Assert.Equal(_open, FileDescriptorTests.CountOpen());
    }

    [Fact]
    public void Credentials_nobody_asked_for_are_an_error()
    {
        var on = 1;
        Assert.Equal(0, setsockopt(_ours.Socket.Value, SOL_SOCKET, SO_PASSCRED, &on, sizeof(int)));
        var sent = Files(1);
        _theirs.Send(default(Message), sent);
        Close(sent);
        Assert.Equal(EBADMSG, Assert.Throws<HostException>(() => _ours.Receive(out Message _, 16, out _)).Errno);
        Assert.Equal(_open, FileDescriptorTests.CountOpen());
    }

    [Fact]
    public void A_closed_peer_is_the_end()
    {
        _theirs.Send(new Message { A = 1 });
        _theirs.Dispose();
        Assert.True(_ours.Receive(out Message _));
        Assert.False(_ours.Receive(out Message message, 3, out var received));
        Assert.Equal(default, message);
        Assert.Empty(received);
    }

    [Fact]
    public void Sending_to_a_closed_peer_fails_without_a_signal()
    {
        _theirs.Dispose();
        var failure = Assert.Throws<HostException>(() => _ours.Send(default(Message)));
        Assert.Equal(("send", EPIPE), (failure.Call, failure.Errno));
    }

    [Fact]
    public void Too_many_descriptors_cannot_be_sent()
    {
        var file = Files(1)[0];
        var many = Enumerable.Repeat(file, SeqpacketChannel.MaxDescriptors + 1).ToArray();
        Assert.Throws<ArgumentOutOfRangeException>(() => _ours.Send(default(Message), many));
        file.Dispose();
    }

    [Fact]
    public void A_closed_descriptor_cannot_be_sent()
    {
        var file = Files(1)[0];
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => _ours.Send(default(Message), file));
    }

    [Fact]
    public void The_limits_of_a_receiver_are_checked()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => _ours.Receive(out Message _, -1, out _));
        Assert.Throws<ArgumentOutOfRangeException>(
            () => _ours.Receive(out Message _, SeqpacketChannel.MaxDescriptors + 1, out _));
    }

    [Fact]
    public void A_non_blocking_socket_reports_that_nothing_is_there()
    {
        Assert.Equal(0, fcntl(_ours.Socket.Value, F_SETFL, (nint)O_NONBLOCK));
        Assert.Equal(EAGAIN, Assert.Throws<HostException>(() => _ours.Receive(out Message _)).Errno);
    }

    private static FileDescriptor[] Files(int count) =>
        [.. Enumerable.Range(0, count).Select(i => FileDescriptor.CreateMemory($"file {i}", 0))];

    private static void Close(FileDescriptor[] files) => Array.ForEach(files, file => file.Dispose());

    // What Send never sends: any size, with descriptors.
    private void SendRaw(int size, FileDescriptor[] files)
    {
        var data = stackalloc byte[size + 1];
        var part = new iovec { iov_base = data, iov_len = (nuint)size };
        var length = CMSG_SPACE((nuint)(files.Length * sizeof(int)));
        var control = stackalloc ulong[(int)length / sizeof(ulong)];
        *(cmsghdr*)control = new cmsghdr
        {
            cmsg_len = CMSG_LEN((nuint)(files.Length * sizeof(int))),
            cmsg_level = SOL_SOCKET,
            cmsg_type = SCM_RIGHTS,
        };
        for (var i = 0; i < files.Length; i++)
            ((int*)((cmsghdr*)control + 1))[i] = files[i].Value;
        var envelope = new msghdr { msg_iov = &part, msg_iovlen = 1, msg_control = control, msg_controllen = length };
        Assert.Equal(size, sendmsg(_theirs.Socket.Value, &envelope, MSG_NOSIGNAL));
    }
}
