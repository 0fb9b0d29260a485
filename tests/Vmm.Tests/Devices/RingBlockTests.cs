using Sandbox.Host;
using Sandbox.Vmm.Devices.Block;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Devices;

/// <summary>
/// A disk with an io_uring for each queue. Where a test has to hold a request back, the ring is a pipe's: its reads are
/// under way until somebody writes.
/// </summary>
public sealed unsafe class RingBlockTests : BlockTests
{
    private readonly List<FileDescriptor> _rings = [];
    private FileDescriptor? _source;
    private FileDescriptor? _sourceEnd;

    public override void Dispose()
    {
        // What is still under way ends with the pipe.
        _sourceEnd?.Dispose();
        base.Dispose();
        _source?.Dispose();
    }

    protected override IReadOnlyList<BlockRing> MakeRings(FileDescriptor file, int queues)
    {
        BlockRing?[] rings = [.. Enumerable.Range(0, queues).Select(_ => BlockRing.TryCreate(_source ?? file))];
        Assert.SkipUnless(rings.All(ring => ring is not null), "this host has no io_uring for this process");
        _rings.AddRange(rings.Select(ring => ring!.File));
        return rings!;
    }

    /// <summary>Reads of the disk come from a pipe now.</summary>
    private void HoldReads()
    {
        int* ends = stackalloc int[2];
        Assert.Equal(0, Libc.pipe2(ends, Libc.O_CLOEXEC));
        (_source, _sourceEnd) = (new FileDescriptor(ends[0]), new FileDescriptor(ends[1]));
    }

    private void Release(int bytes, byte value = 9) =>
        Assert.Equal(bytes, _sourceEnd!.Write(Enumerable.Repeat(value, bytes).ToArray()));

    private void SendReads(int count, int queue = 0)
    {
        Memory.At<virtio_blk_outhdr>(Head) = new virtio_blk_outhdr { type = VIRTIO_BLK_T_IN };
        Memory.At<byte>(Status) = Untouched;
        for (int i = 0; i < count; i++)
            Driver.Queues[queue].Send(new Piece(Head, 16), new Piece(Data, 512, true), new Piece(Status, 1, true));
        Driver.NotifyAndRun(queue);
    }

    private void FinishQueue(int queue) => NotifyAndFinish(queue);

    [Fact]
    public void What_waits_for_the_disk_is_the_rings_and_what_does_not_is_the_threads()
    {
        Start();
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_OUT, 0, new Piece(Data, 512)));
        Assert.Equal((0, 1), (Metrics.RingRequests, Metrics.PlainRequests));
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_IN, 0, new Piece(Data, 512, true)));
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_FLUSH, 0));
        Assert.Equal((2, 1), (Metrics.RingRequests, Metrics.PlainRequests));
    }

    [Fact]
    public void A_write_that_nobody_can_flush_is_the_rings()
    {
        Start(without: 1UL << VIRTIO_BLK_F_FLUSH);
        Memory.Bytes(Data, 1024).Fill(3);
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_OUT, 5, new Piece(Data, 100), new Piece(Data, 924)));
        Assert.Equal((1, 0), (Metrics.RingRequests, Metrics.PlainRequests));
        Assert.Equal(1024, Metrics.BytesWritten);
        byte[] contents = Contents(0, Sectors * 512);
        Assert.Equal((0, 3, 3, 0), (contents[2559], contents[2560], contents[3583], contents[3584]));
    }

    [Fact]
    public void Others_pass_a_read_that_takes_long()
    {
        HoldReads();
        Start();
        SendReads(1);
        Assert.Equal(0, Driver.Queues[0].UsedIndex);
        Memory.At<virtio_blk_outhdr>(Head + 0x40) = new virtio_blk_outhdr { type = VIRTIO_BLK_T_OUT };
        ushort write = Driver.Queues[0].Send(
            new Piece(Head + 0x40, 16), new Piece(Data, 512), new Piece(Status, 1, true));
        Driver.NotifyAndRun(0);
        Assert.Equal(1, Driver.Queues[0].UsedIndex);
        Assert.Equal((write, 1u), ((ushort)Driver.Queues[0].UsedElement(0).id, Driver.Queues[0].UsedElement(0).len));
        Release(512);
        FinishQueue(0);
        Assert.Equal((0u, 513u), (Driver.Queues[0].UsedElement(1).id, Driver.Queues[0].UsedElement(1).len));
        Assert.Equal(9, Memory.At<byte>(Data + 511));
    }

    [Fact]
    public void No_more_are_under_way_than_there_are_places_and_none_is_lost()
    {
        HoldReads();
        Start();
        // 80 requests of 3 descriptors each fill the queue nearly.
        SendReads(80);
        Assert.Equal(0, Driver.Queues[0].UsedIndex);
        Assert.Equal(BlockRing.Depth, Driver.Device.Queues[0].Save().NextAvailable);
        Release(80 * 512);
        FinishQueue(0);
        Assert.Equal(80, Driver.Queues[0].UsedIndex);
        Assert.Equal(80, Driver.Queues[0].UsedElements(80).Select(element => element.id).Distinct().Count());
        Assert.Equal((80, 80 * 512), (Metrics.RingRequests, Metrics.BytesRead));
        Assert.Equal(VIRTIO_BLK_S_OK, Memory.At<byte>(Status));
    }

    [Flaw("CVE-2026-45782")]
    [Fact]
    public void A_reset_waits_for_every_queue_and_nothing_is_touched_afterwards()
    {
        HoldReads();
        Start(queues: 2);
        SendReads(2, queue: 0);
        SendReads(2, queue: 1);
        Thread reset = new(() => Driver.Write(VIRTIO_MMIO_STATUS, 0));
        reset.Start();
        Assert.False(reset.Join(30));
        Release(3 * 512);
        Assert.False(reset.Join(30));
        Release(512);
        Assert.True(reset.Join(TimeSpan.FromSeconds(20)));
        Assert.Equal(0, Driver.Status);
        Memory.Clear();
        Release(4096);
        Driver.Run();
        Assert.Equal((0, 0), (Memory.At<byte>(Data), Driver.Queues[0].UsedIndex + Driver.Queues[1].UsedIndex));
    }

    /// <summary>The thread is a vCPU's, which may not read: the VMM would end.</summary>
    [Fact]
    public void A_reset_does_not_go_on_with_a_read_that_is_cut_off()
    {
        Fill(4);
        HoldReads();
        Start();
        SendReads(1);
        Release(100);
        RefusingThread.Run(Libc.SYS_preadv2, null, () => Driver.Write(VIRTIO_MMIO_STATUS, 0));
        AssertUnanswered();
        Assert.Equal(0, Memory.At<byte>(Data + 100));
        Memory.Clear();
        Driver.Start();
        Release(512);
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_IN, 0, new Piece(Data, 512, true)));
    }

    [Fact]
    public void A_reset_does_not_go_on_with_a_write_that_is_cut_off()
    {
        const int page = 4096;
        HoldReads();
        Assert.Equal(page, Libc.fcntl(_source!.Value, Libc.F_SETPIPE_SZ, page));
        Release(page);
        // The ring writes to the full pipe now, which then has room for a half.
        (_source, _sourceEnd) = (_sourceEnd, _source);
        Fill(4);
        Start(without: 1UL << VIRTIO_BLK_F_FLUSH);
        Memory.At<virtio_blk_outhdr>(Head) = new virtio_blk_outhdr { type = VIRTIO_BLK_T_OUT };
        Memory.At<byte>(Status) = Untouched;
        Driver.Queues[0].Send(new Piece(Head, 16), new Piece(Data, 2 * page), new Piece(Status, 1, true));
        Driver.NotifyAndRun(0);
        Assert.Equal(page, _sourceEnd!.Read(new byte[page]));
        RefusingThread.Run(Libc.SYS_pwritev2, null, () => Driver.Write(VIRTIO_MMIO_STATUS, 0));
        AssertUnanswered();
        Assert.DoesNotContain((byte)0, Contents(0, 2 * page));
    }

    private void AssertUnanswered()
    {
        Assert.Equal((0, 0), (Driver.Status, (int)Driver.Queues[0].UsedIndex));
        Assert.Equal(Untouched, Memory.At<byte>(Status));
        Assert.Equal((0, 0), (Metrics.PlainRequests, Metrics.Errors));
    }

    [Fact]
    public void A_pause_waits_and_its_state_has_nothing_under_way()
    {
        HoldReads();
        Start();
        SendReads(3);
        Thread pause = new(Driver.Transport.Pause);
        pause.Start();
        Assert.False(pause.Join(30));
        Release(3 * 512);
        Assert.True(pause.Join(TimeSpan.FromSeconds(20)));
        QueueState saved = Driver.Transport.Save().Queues[0];
        Assert.Equal((3, 3, 3), (saved.NextAvailable, saved.NextUsed, Driver.Queues[0].UsedIndex));
        Driver.Transport.Resume();
        Release(512);
        SendReads(1);
        FinishQueue(0);
        Assert.Equal(VIRTIO_BLK_S_OK, Memory.At<byte>(Status));
    }

    [Fact]
    public void A_driver_that_breaks_a_rule_gets_back_nothing_but_its_reset()
    {
        HoldReads();
        Start();
        SendReads(1);
        Driver.Queues[0].Send(new Piece(Head, 15), new Piece(Status, 1, true));
        Driver.NotifyAndRun(0);
        Assert.True(Driver.NeedsReset);
        Release(512);
        Driver.Run();
        Assert.Equal(0, Driver.Queues[0].UsedIndex);
        Memory.Clear();
        Driver.Start();
        Release(512);
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_IN, 0, new Piece(Data, 512, true)));
    }

    [Fact]
    public void A_transfer_that_is_cut_off_goes_on_where_it_was()
    {
        Fill(4);
        HoldReads();
        Start();
        SendReads(1);
        Release(100);
        FinishQueue(0);
        // The rest came from the image itself.
        Assert.Equal((9, 9, 4, 4), (Memory.At<byte>(Data), Memory.At<byte>(Data + 99),
            Memory.At<byte>(Data + 100), Memory.At<byte>(Data + 511)));
        Assert.Equal((VIRTIO_BLK_S_OK, 513u, 512L),
            (Memory.At<byte>(Status), Driver.Queues[0].UsedElement(0).len, Metrics.BytesRead));
    }

    [Fact]
    public void An_error_of_the_disk_is_the_requests_own()
    {
        // Nobody reads from the end that is for writing: EBADF.
        HoldReads();
        (_source, _sourceEnd) = (_sourceEnd, _source);
        Start();
        Assert.Equal(VIRTIO_BLK_S_IOERR, Request(VIRTIO_BLK_T_IN, 0, new Piece(Data, 512, true)));
        Assert.Equal((1, 1, 0), (Metrics.Errors, Metrics.RingRequests, Metrics.PlainRequests));
        Assert.Equal(0u, Driver.Queues[0].UsedElement(0).len);
    }

    [Requirement("5.2.6.2f")]
    [Fact]
    public void A_flush_is_answered_as_the_disk_ended_it()
    {
        // A pipe cannot be flushed: EINVAL. To read nothing of it, or to do nothing, would succeed.
        HoldReads();
        Start();
        Assert.Equal(VIRTIO_BLK_S_IOERR, Request(VIRTIO_BLK_T_FLUSH, 0));
        Assert.Equal((1, 1, 1, 0), (Metrics.Flushes, Metrics.Errors, Metrics.RingRequests, Metrics.PlainRequests));
    }

    /// <summary>
    /// A write and a flush are on the host's disk when they end, and not only in its page cache, which no read can tell. A
    /// flush from 0 on and of no length is one of everything.
    /// </summary>
    [Requirement("5.2.6.2e")]
    [Requirement("5.2.6.2f")]
    [Fact]
    public void What_must_last_is_asked_of_the_kernel()
    {
        const ulong Vector = 0x7000_0000;
        Asks(BlockRing.Request(BlockAction.Read, 5L << 30, Vector, 3), Libc.IORING_OP_READV, 0, Vector);
        Asks(BlockRing.Request(BlockAction.Write, 5L << 30, Vector, 3), Libc.IORING_OP_WRITEV, Libc.RWF_DSYNC, Vector);
        Asks(BlockRing.Request(BlockAction.Flush, 0, Vector, 0), Libc.IORING_OP_FSYNC, Libc.IORING_FSYNC_DATASYNC, 0);

        static void Asks(io_uring_sqe request, int operation, int flags, ulong vector)
        {
            Assert.Equal((operation, (uint)flags), (request.opcode, request.rw_flags));
            Assert.Equal(vector, request.addr);
            Assert.Equal(vector == 0 ? (0ul, 0u) : (5ul << 30, 3u), (request.off, request.len));
        }
    }

    [Fact]
    public void What_a_ring_does_not_take_the_thread_does()
    {
        Start();
        Fill(4);
        // In the ring's place is something that takes no requests.
        using FileDescriptor other = FileDescriptor.CreateMemory("other", 0);
        Assert.Equal(_rings[0].Value, Libc.dup3(other.Value, _rings[0].Value, Libc.O_CLOEXEC));
        for (int i = 0; i < 3; i++)
            Driver.Queues[0].Send(new Piece(Head, 16), new Piece(Data, 512, true), new Piece(Status, 1, true));
        Memory.At<byte>(Status) = Untouched;
        FinishQueue(0);
        Assert.Equal((4, VIRTIO_BLK_S_OK), (Memory.At<byte>(Data), Memory.At<byte>(Status)));
        Assert.Equal((0, 3), (Metrics.RingRequests, Metrics.PlainRequests));
    }

    [Fact]
    public void Requests_and_their_ends_allocate_nothing()
    {
        HoldReads();
        Start();
        FileDescriptor notify = Driver.Device.NotifyFile(0);
        long allocated = 0;
        byte[] sector = new byte[512];
        // The first rounds make what is made once.
        for (int round = 0; round < 20; round++)
        {
            Driver.Queues[0].Send(new Piece(Head, 16), new Piece(Data, 512, true), new Piece(Status, 1, true));
            long before = GC.GetAllocatedBytesForCurrentThread();
            VirtioDevice.Signal(notify);
            Driver.Device.Workers[0].RunOnce(0);
            _sourceEnd!.Write(sector);
            while (Driver.Queues[0].UsedIndex == round)
                Driver.Device.Workers[0].RunOnce(10);
            if (round >= 10)
                allocated += GC.GetAllocatedBytesForCurrentThread() - before;
        }
        Assert.Equal((0, 20), (allocated, Metrics.RingRequests));
    }

    [Fact]
    public void A_device_that_goes_waits_for_what_is_under_way()
    {
        HoldReads();
        Start();
        SendReads(2);
        Thread end = new(End);
        end.Start();
        Assert.False(end.Join(30));
        Release(1024);
        Assert.True(end.Join(TimeSpan.FromSeconds(20)));
    }

    [Flaw("CVE-2026-45782")]
    [Fact]
    public void Threads_of_the_device_and_resets_at_once_lose_nothing_and_touch_nothing_afterwards()
    {
        const int Queues = 2, Requests = 8;
        Start(queues: Queues);
        Fill(5);
        Driver.Transport.Start();
        for (int round = 0; round < 100; round++)
        {
            Driver.Write(VIRTIO_MMIO_STATUS, 0);
            Memory.Clear();
            Driver.Agree(Driver.OfferedFeatures());
            for (int queue = 0; queue < Queues; queue++)
                Driver.Enable(queue);
            Driver.Write(VIRTIO_MMIO_STATUS, 15);
            for (int queue = 0; queue < Queues; queue++)
            {
                for (int i = 0; i < Requests; i++)
                    Driver.Queues[queue].Send(
                        new Piece(Head, 16), new Piece(Data, 512, true), new Piece(Status, 1, true));
                Driver.Notify(queue);
            }
            if (round % 2 == 0)
            {
                Assert.True(SpinWait.SpinUntil(
                    () => Driver.Queues.All(queue => Volatile.Read(ref queue.UsedIndex) == Requests),
                    TimeSpan.FromSeconds(20)), "it took too long");
                Assert.Equal((5, 5), (Memory.At<byte>(Data), Memory.At<byte>(Data + 511)));
            }
            Driver.Write(VIRTIO_MMIO_STATUS, 0);
            Memory.Clear();
            Thread.Yield();
            Assert.Equal(0, Driver.Status);
            Assert.Equal((0, 0), (Memory.At<byte>(Data), Driver.Queues.Sum(queue => queue.UsedIndex)));
        }
        Assert.True(Metrics.RingRequests >= 50 * Queues * Requests);
    }

    [Fact]
    public void A_ring_for_each_queue_or_none()
    {
        using FileDescriptor file = FileDescriptor.CreateMemory("disk", 4096);
        IReadOnlyList<BlockRing> rings = MakeRings(file, 1);
        Assert.Throws<ArgumentException>(() => new BlockDevice(
            Memory.Ram, new BlockOptions { File = file.Duplicate(), Queues = 2, Rings = rings }));
        rings[0].Dispose();
    }
}
