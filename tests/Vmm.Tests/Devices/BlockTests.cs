using Sandbox.Host;
using Sandbox.Supervisor.Tests.LifeCycle;
using Sandbox.Vmm.Devices.Block;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Devices;

/// <summary>What holds for a disk however its requests are served.</summary>
public abstract class BlockTests : IDisposable
{
    protected const ulong Head = TestRam.HighStart;
    protected const ulong Status = TestRam.HighStart + 0x100;
    protected const ulong Data = TestRam.HighStart + 0x1000;
    protected const int Sectors = 64;
    protected const byte Untouched = 0xee;

    private readonly TestRam _memory = new();
    private readonly FileDescriptor _file = FileDescriptor.CreateMemory("disk", (Sectors * 512) + 100);
    private TestDriver? _driver;

    public virtual void Dispose()
    {
        End();
        _file.Dispose();
        _memory.Dispose();
        GC.SuppressFinalize(this);
    }

    protected void End()
    {
        _driver?.Dispose();
        _driver = null;
    }

    private protected TestDriver Driver => _driver!;

    private protected TestRam Memory => _memory;

    protected BlockMetrics Metrics => (BlockMetrics)Driver.Device.Metrics;

    /// <summary>As many as the device has queues, or none.</summary>
    protected abstract IReadOnlyList<BlockRing> MakeRings(FileDescriptor file, int queues);

    private protected TestDriver Start(
        ulong? without = null, bool isReadOnly = false, int queues = 1, RateLimit limit = default)
    {
        _driver = new TestDriver(
            new BlockDevice(_memory.Ram, new BlockOptions
            {
                File = _file.Duplicate(),
                IsReadOnly = isReadOnly,
                Identity = "a-disk",
                Queues = queues,
                Rings = MakeRings(_file, queues),
                Limit = limit,
            }),
            _memory);
        return _driver.Start(_driver.OfferedFeatures() & ~(without ?? 0));
    }

    /// <summary>The answer byte, or <see cref="Untouched"/>.</summary>
    private protected byte Request(uint type, ulong sector, params Piece[] data)
    {
        _memory.At<virtio_blk_outhdr>(Head) = new virtio_blk_outhdr { type = type, sector = sector };
        _memory.At<byte>(Status) = Untouched;
        Driver.Queues[0].Send([new Piece(Head, 16), .. data, new Piece(Status, 1, true)]);
        NotifyAndFinish(0);
        return _memory.At<byte>(Status);
    }

    /// <summary>Does what the queue's thread would do, until everything is answered or the device is broken.</summary>
    protected void NotifyAndFinish(int queue)
    {
        Driver.Notify(queue);
        for (int turn = 0; Driver.Queues[queue].UsedIndex != Driver.Queues[queue].AvailableIndex; turn++)
        {
            Assert.True(turn < 10_000, "requests are not answered");
            Driver.Device.Workers[queue].RunOnce(turn == 0 ? 0 : 10);
            if (Driver.NeedsReset)
                return;
        }
    }

    private uint LastLength => Driver.Queues[0].UsedElement(Driver.Queues[0].UsedIndex - 1).len;

    private protected byte Ranges(uint type, params virtio_blk_discard_write_zeroes[] ranges)
    {
        for (int i = 0; i < ranges.Length; i++)
            _memory.At<virtio_blk_discard_write_zeroes>(Data + (16u * (uint)i)) = ranges[i];
        return Request(type, 0, new Piece(Data, 16 * (uint)ranges.Length));
    }

    protected byte[] Contents(int offset, int length)
    {
        byte[] bytes = new byte[length];
        Assert.Equal(length, _file.ReadAt(bytes, offset));
        return bytes;
    }

    protected void Fill(byte value) =>
        Assert.Equal(Sectors * 512, _file.WriteAt(Enumerable.Repeat(value, Sectors * 512).ToArray(), 0));

    [Requirement("2.7.8.2b")]
    [Fact]
    public void What_was_written_is_read()
    {
        Start();
        for (int i = 0; i < 1024; i++)
            _memory.At<byte>(Data + (ulong)i) = (byte)(i * 7);
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_OUT, 3, new Piece(Data, 100), new Piece(Data + 100, 924)));
        Assert.Equal(1u, LastLength);
        Assert.Equal(_memory.Bytes(Data, 1024).ToArray(), Contents(3 * 512, 1024));
        Assert.Equal(VIRTIO_BLK_S_OK,
            Request(VIRTIO_BLK_T_IN, 3, new Piece(Data + 0x1000, 1000, true), new Piece(Data + 0x2000, 24, true)));
        Assert.Equal(1025u, LastLength);
        Assert.Equal(_memory.Bytes(Data, 1000).ToArray(), _memory.Bytes(Data + 0x1000, 1000).ToArray());
        Assert.Equal(_memory.Bytes(Data + 1000, 24).ToArray(), _memory.Bytes(Data + 0x2000, 24).ToArray());
        Assert.Equal((1024, 1024), (Metrics.BytesRead, Metrics.BytesWritten));
    }

    [Requirement("2.7.4.1a")]
    [Fact]
    public void Head_and_answer_may_be_in_any_pieces()
    {
        Start();
        Fill(5);
        _memory.At<virtio_blk_outhdr>(Head) = new virtio_blk_outhdr { type = VIRTIO_BLK_T_IN };
        Driver.Queues[0].Send(new Piece(Head, 7), new Piece(Head + 7, 9), new Piece(Data, 513, true));
        _memory.At<byte>(Data + 512) = Untouched;
        NotifyAndFinish(0);
        Assert.Equal((5, 0), (_memory.At<byte>(Data + 511), _memory.At<byte>(Data + 512)));
        _memory.At<virtio_blk_outhdr>(Head) = new virtio_blk_outhdr { type = VIRTIO_BLK_T_OUT };
        _memory.Bytes(Head + 16, 512).Fill(6);
        Driver.Queues[0].Send(new Piece(Head, 528), new Piece(Status, 1, true));
        NotifyAndFinish(0);
        Assert.Equal(6, Contents(511, 1)[0]);
    }

    [Fact]
    public void The_configuration_says_what_the_disk_is()
    {
        Start(queues: 3);
        virtio_blk_config told = Driver.Configuration<virtio_blk_config>(0);
        Assert.Equal(((ulong)Sectors, 512u), (told.capacity, told.blk_size));
        Assert.Equal((254u, (ushort)3), (told.seg_max, told.num_queues));
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_GET_ID, 0, new Piece(Data, 20, true)));
        Assert.Equal("a-disk", System.Text.Encoding.ASCII.GetString(_memory.Bytes(Data, 20)).TrimEnd('\0'));
        Assert.Equal(21u, LastLength);
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_GET_ID, 0, new Piece(Data, 100, true)));
        Assert.Equal(20u, LastLength);
    }

    [Requirement("5.2.5.2b")]
    [Fact]
    public void Padding_of_the_configuration_is_zero()
    {
        Start(queues: 3);
        Assert.Equal(0, Driver.Configuration<byte>(33));
        Assert.Equal([0, 0, 0], Enumerable.Range(57, 3).Select(at => (int)Driver.Configuration<byte>(at)));
    }

    [Requirement("5.2.6.2e")]
    [Fact]
    public void Writes_are_on_the_hosts_disk_where_no_flush_will_follow()
    {
        virtio_blk_discard_write_zeroes one = new() { num_sectors = 1 };
        byte answer = Untouched;
        Start(without: 1UL << VIRTIO_BLK_F_FLUSH);
        // A ring that takes nothing leaves it to the thread.
        RefusingThread.Run(Libc.SYS_io_uring_enter, null, () => RefusingThread.Run(Libc.SYS_pwritev2, Libc.RWF_DSYNC,
            () => answer = Request(VIRTIO_BLK_T_OUT, 0, new Piece(Data, 512))));
        Assert.Equal(VIRTIO_BLK_S_IOERR, answer);
        RefusingThread.Run(Libc.SYS_fdatasync, null, () => answer = Ranges(VIRTIO_BLK_T_WRITE_ZEROES, one));
        Assert.Equal(VIRTIO_BLK_S_IOERR, answer);
        Assert.Equal(2, Metrics.Errors);
        Driver.Dispose();
        _memory.Clear();
        Start();
        RefusingThread.Run(Libc.SYS_pwritev2, Libc.RWF_DSYNC,
            () => answer = Request(VIRTIO_BLK_T_OUT, 0, new Piece(Data, 512)));
        Assert.Equal(VIRTIO_BLK_S_OK, answer);
    }

    [Requirement("5.2.6.2f")]
    [Fact]
    public void A_flush_is_answered_when_the_hosts_disk_has_everything()
    {
        byte answer = Untouched;
        Start();
        RefusingThread.Run(Libc.SYS_io_uring_enter, null, () => RefusingThread.Run(Libc.SYS_fdatasync, null,
            () => answer = Request(VIRTIO_BLK_T_FLUSH, 0)));
        Assert.Equal((VIRTIO_BLK_S_IOERR, 1L, 1L), (answer, Metrics.Flushes, Metrics.Errors));
    }

    [Flaw("wrapping-sector")]
    [Theory]
    [InlineData(64ul, 512u)]
    [InlineData(63ul, 1024u)]
    [InlineData(0ul, (Sectors * 512) + 512u)]
    [InlineData(0x80_0000_0000_0000ul, 512u)] // times 512 this is 0
    [InlineData(ulong.MaxValue, 512u)]
    [InlineData(0ul, 511u)]
    [InlineData(0ul, 1u)]
    public void What_is_not_on_the_disk_is_an_error_and_moves_nothing(ulong sector, uint length)
    {
        Start();
        Fill(1);
        _memory.Bytes(Data, (int)length).Fill(2);
        Assert.Equal(VIRTIO_BLK_S_IOERR, Request(VIRTIO_BLK_T_OUT, sector, new Piece(Data, length)));
        Assert.Equal(1u, LastLength);
        // The answer is written, but not the bytes before it.
        Assert.Equal(VIRTIO_BLK_S_IOERR, Request(VIRTIO_BLK_T_IN, sector, new Piece(Data, length, true)));
        Assert.Equal(0u, LastLength);
        Assert.Equal(2, _memory.At<byte>(Data));
        Assert.DoesNotContain((byte)2, Contents(0, Sectors * 512));
        Assert.Equal(2, Metrics.Errors);
        Assert.False(Driver.NeedsReset);
    }

    [Fact]
    public void The_disk_ends_with_its_last_whole_sector()
    {
        Start();
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_IN, 63, new Piece(Data, 512, true)));
        Assert.Equal(VIRTIO_BLK_S_IOERR, Request(VIRTIO_BLK_T_IN, 64, new Piece(Data, 512, true)));
    }

    [Requirement("5.2.6.2a")]
    [Fact]
    public void A_read_only_disk_is_never_written()
    {
        Fill(1);
        Start(isReadOnly: true);
        Assert.NotEqual(0ul, Driver.OfferedFeatures() & (1UL << VIRTIO_BLK_F_RO));
        Assert.Equal(VIRTIO_BLK_S_IOERR, Request(VIRTIO_BLK_T_OUT, 0, new Piece(Data, 512)));
        virtio_blk_discard_write_zeroes one = new() { num_sectors = 1 };
        Assert.Equal(VIRTIO_BLK_S_UNSUPP, Ranges(VIRTIO_BLK_T_DISCARD, one));
        Assert.Equal(VIRTIO_BLK_S_UNSUPP, Ranges(VIRTIO_BLK_T_WRITE_ZEROES, one));
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_FLUSH, 0));
        Assert.DoesNotContain((byte)0, Contents(0, Sectors * 512));
    }

    [Fact]
    public void A_flush_is_answered_where_it_was_negotiated()
    {
        Start();
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_FLUSH, 0));
        Assert.Equal(1, Metrics.Flushes);
        _driver!.Dispose();
        _memory.Clear();
        Start(without: 1UL << VIRTIO_BLK_F_FLUSH);
        Assert.Equal(VIRTIO_BLK_S_UNSUPP, Request(VIRTIO_BLK_T_FLUSH, 0));
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_OUT, 0, new Piece(Data, 512)));
        Assert.Equal(0, Metrics.Flushes);
    }

    [Requirement("5.2.6.2d")]
    [Theory]
    [InlineData(VIRTIO_BLK_T_DISCARD, 0u)]
    [InlineData(VIRTIO_BLK_T_WRITE_ZEROES, 0u)]
    [InlineData(VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP)]
    public void Ranges_become_zero(uint type, uint flags)
    {
        Start();
        Fill(1);
        virtio_blk_discard_write_zeroes[] ranges =
        [
            new() { sector = 1, num_sectors = 1, flags = flags },
            new() { sector = 8, num_sectors = 0, flags = flags },
            new() { sector = 10, num_sectors = 20, flags = flags },
        ];
        // Several at once are discarded only.
        foreach (virtio_blk_discard_write_zeroes[] request in ranges.Chunk(type == VIRTIO_BLK_T_DISCARD ? 3 : 1))
            Assert.Equal(VIRTIO_BLK_S_OK, Ranges(type, request));
        byte[] contents = Contents(0, Sectors * 512);
        for (int i = 0; i < contents.Length; i++)
            Assert.Equal((i / 512) is 1 or (>= 10 and < 30) ? 0 : 1, contents[i]);
        Assert.Equal(2, Metrics.Ranges);
        _file.GetStatus(out stat status);
        Assert.Equal((Sectors * 512) + 100, status.st_size);
    }

    /// <summary>As on block devices that can neither discard nor write zeroes themselves.</summary>
    [Requirement("5.2.6.2d")]
    [Fact]
    public void Ranges_become_zero_where_the_host_takes_no_blocks_back()
    {
        byte discarded = Untouched, cleared = Untouched;
        virtio_blk_discard_write_zeroes range = new() { sector = 2, num_sectors = 3 };
        Start();
        Fill(1);
        RefusingThread.Run(Libc.SYS_fallocate, null, () =>
        {
            discarded = Ranges(VIRTIO_BLK_T_DISCARD, range);
            cleared = Ranges(VIRTIO_BLK_T_WRITE_ZEROES, range with { flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP });
        }, Libc.EOPNOTSUPP);
        Assert.Equal((VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_OK), (discarded, cleared));
        byte[] contents = Contents(0, Sectors * 512);
        for (int i = 0; i < contents.Length; i++)
            Assert.Equal((i / 512) is >= 2 and < 5 ? 0 : 1, contents[i]);
        Assert.Equal((1, 1), (Metrics.Ranges, Metrics.Unsupported));
    }

    [Requirement("5.2.6.2b")]
    [Requirement("5.2.6.2c")]
    [Fact]
    public void Ranges_that_are_wrong_change_nothing_behind_them()
    {
        Start();
        Fill(1);
        virtio_blk_discard_write_zeroes good = new() { num_sectors = 1 };
        foreach ((uint type, virtio_blk_discard_write_zeroes range, int answer) in
            ((uint, virtio_blk_discard_write_zeroes, int)[])
            [
                (VIRTIO_BLK_T_DISCARD, good with { flags = 1 }, VIRTIO_BLK_S_UNSUPP),
                (VIRTIO_BLK_T_DISCARD, good with { flags = 2 }, VIRTIO_BLK_S_UNSUPP),
                (VIRTIO_BLK_T_WRITE_ZEROES, good with { flags = 2 }, VIRTIO_BLK_S_UNSUPP),
                (VIRTIO_BLK_T_WRITE_ZEROES, good with { sector = 64 }, VIRTIO_BLK_S_IOERR),
                (VIRTIO_BLK_T_DISCARD, good with { sector = ulong.MaxValue }, VIRTIO_BLK_S_IOERR),
                (VIRTIO_BLK_T_DISCARD, good with { num_sectors = uint.MaxValue }, VIRTIO_BLK_S_IOERR),
            ])
            Assert.Equal(answer, Ranges(type, range));
        Assert.Equal(VIRTIO_BLK_S_IOERR, Request(VIRTIO_BLK_T_DISCARD, 0, new Piece(Data, 15)));
        Assert.Equal(VIRTIO_BLK_S_IOERR, Request(VIRTIO_BLK_T_DISCARD, 0));
        Assert.Equal(VIRTIO_BLK_S_IOERR, Ranges(VIRTIO_BLK_T_DISCARD, new virtio_blk_discard_write_zeroes[17]));
        Assert.Equal(VIRTIO_BLK_S_IOERR, Ranges(VIRTIO_BLK_T_DISCARD, good, good with { sector = 64 }));
        Assert.DoesNotContain((byte)0, Contents(0, Sectors * 512));
    }

    [Theory]
    [InlineData(2u)] // SCSI commands, which nobody needs
    [InlineData(3u)]
    [InlineData(14u)]
    [InlineData(0x8000_0000u)]
    [InlineData(uint.MaxValue)]
    public void Other_requests_are_unsupported(uint type)
    {
        Start();
        Assert.Equal(VIRTIO_BLK_S_UNSUPP, Request(type, 0, new Piece(Data, 512, true)));
        Assert.Equal(1, Metrics.Unsupported);
    }

    [Requirement("2.7.8.2b")]
    [Fact]
    public void An_image_that_becomes_shorter_is_an_error()
    {
        Start();
        Fill(1);
        Assert.Equal(0, Libc.ftruncate(_file.Value, 1024 + 100));
        Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_IN, 0, new Piece(Data, 1024, true)));
        Assert.Equal(VIRTIO_BLK_S_IOERR, Request(VIRTIO_BLK_T_IN, 0, new Piece(Data, 2048, true)));
        Assert.Equal(1124u, LastLength);
        Assert.Equal(VIRTIO_BLK_S_IOERR, Request(VIRTIO_BLK_T_IN, 60, new Piece(Data, 512, true)));
    }

    /// <summary>
    /// A sparse image on a full file system: a write that finds no room is an error, what was flushed stays, and as soon as
    /// there is room the disk goes on.
    /// </summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_image_without_room_is_an_error_and_keeps_what_was_flushed(bool flushes)
    {
        const ulong Step = 8, Last = 2048;
        Assert.SkipUnless(Libc.geteuid() == 0, "only root can mount a small file system");
        using SmallFileSystem small = new("64k");
        using (FileDescriptor file = FileDescriptor.Open(
            Path.Combine(small.Path, "disk"), Libc.O_RDWR | Libc.O_CREAT, 0x180))
        {
            Assert.Equal(0, Libc.ftruncate(file.Value, 1 << 20));
            _driver = new TestDriver(
                new BlockDevice(_memory.Ram, new BlockOptions { File = file.Duplicate(), Rings = MakeRings(file, 1) }),
                _memory);
            _driver.Start(_driver.OfferedFeatures() & ~(flushes ? 0 : 1UL << VIRTIO_BLK_F_FLUSH));
            _memory.Bytes(Data, 512).Fill(7);
            ulong written = 0;
            byte answer;
            while ((answer = Request(VIRTIO_BLK_T_OUT, written, new Piece(Data, 512))) == VIRTIO_BLK_S_OK && written < Last)
                written += Step;
            Assert.Equal((VIRTIO_BLK_S_IOERR, 1L), (answer, Metrics.Errors));
            Assert.InRange(written, Step, 16 * Step);
            if (flushes)
                Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_FLUSH, 0));
            for (ulong sector = 0; sector < written; sector += Step)
            {
                Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_IN, sector, new Piece(Data + 0x1000, 512, true)));
                Assert.DoesNotContain(_memory.Bytes(Data + 0x1000, 512).ToArray(), each => each != 7);
            }
            // What was never written reads as zero, and takes no room.
            Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_IN, written, new Piece(Data + 0x1000, 512, true)));
            Assert.Equal(0, _memory.At<byte>(Data + 0x1000));
            Assert.Equal(VIRTIO_BLK_S_OK, Ranges(VIRTIO_BLK_T_DISCARD, new virtio_blk_discard_write_zeroes { num_sectors = 8 }));
            _memory.Bytes(Data, 512).Fill(7);
            Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_OUT, written, new Piece(Data, 512)));
            Assert.Equal((1L, false), (Metrics.Errors, Driver.NeedsReset));
            End();
        }
    }

    [Fact]
    public void A_file_that_cannot_be_written_is_an_error()
    {
        Assert.Equal(0, _file.TryReopen(Libc.O_RDONLY, out FileDescriptor? readable));
        _driver = new TestDriver(
            new BlockDevice(_memory.Ram, new BlockOptions { File = readable!, Rings = MakeRings(readable!, 1) }), _memory)
            .Start();
        Assert.Equal(VIRTIO_BLK_S_IOERR, Request(VIRTIO_BLK_T_OUT, 0, new Piece(Data, 512)));
        virtio_blk_discard_write_zeroes one = new() { num_sectors = 1 };
        Assert.Equal(VIRTIO_BLK_S_IOERR, Ranges(VIRTIO_BLK_T_DISCARD, one));
    }

    [Fact]
    public void What_is_no_disk_is_refused()
    {
        Assert.Throws<HostException>(() => new BlockDevice(_memory.Ram, new BlockOptions
        {
            File = FileDescriptor.Open("/tmp", Libc.O_RDONLY | Libc.O_DIRECTORY),
        }));
        Assert.Throws<HostException>(() => new BlockDevice(_memory.Ram, new BlockOptions
        {
            File = FileDescriptor.CreateMemory("empty", 511),
        }));
        Assert.Throws<HostException>(() => new BlockDevice(_memory.Ram, new BlockOptions
        {
            File = FileDescriptor.Open("/dev/full", Libc.O_RDWR),
        }));
        Assert.Throws<ArgumentException>(() => new BlockDevice(_memory.Ram, new BlockOptions
        {
            File = _file.Duplicate(),
            Identity = "longer than twenty bytes",
        }));
    }

    [Fact]
    public void A_request_without_head_or_answer_breaks_the_device()
    {
        Start();
        Driver.Queues[0].Send(new Piece(Head, 15), new Piece(Status, 1, true));
        NotifyAndFinish(0);
        Assert.True(Driver.NeedsReset);
        Assert.Equal(0, Driver.Queues[0].UsedIndex);
        _memory.Clear();
        Driver.Start();
        Driver.Queues[0].Send(new Piece(Head, 16));
        NotifyAndFinish(0);
        Assert.True(Driver.NeedsReset);
        Assert.Equal(2, Metrics.Count(QueueFault.Request));
    }

    [Fact]
    public void Each_queue_is_served()
    {
        Start(queues: 4);
        Fill(4);
        for (int queue = 0; queue < 4; queue++)
        {
            _memory.At<virtio_blk_outhdr>(Head) = new virtio_blk_outhdr { type = VIRTIO_BLK_T_IN };
            _memory.At<byte>(Status) = Untouched;
            Driver.Queues[queue].Send(new Piece(Head, 16), new Piece(Data, 512, true), new Piece(Status, 1, true));
            NotifyAndFinish(queue);
            Assert.Equal(0, _memory.At<byte>(Status));
            Assert.Equal(1, Metrics.LatencyByQueue[queue].Count);
        }
    }

    [Fact]
    public void Operations_a_second_are_held()
    {
        Start(limit: new RateLimit(0, 100));
        long started = HostClock.MonotonicNanoseconds();
        for (int i = 0; i < 12; i++)
        {
            Driver.Queues[0].Send(new Piece(Head, 16), new Piece(Data, 512, true), new Piece(Status, 1, true));
            Driver.Notify(0);
        }
        while (Driver.Queues[0].UsedIndex < 12)
            Driver.Device.Workers[0].RunOnce(1000);
        Assert.InRange(HostClock.MonotonicNanoseconds() - started, 19_000_000, long.MaxValue);
    }

    [Fact]
    public void The_rate_is_one_for_all_queues()
    {
        Start(queues: 4, limit: new RateLimit(0, 100));
        long started = HostClock.MonotonicNanoseconds();
        for (int i = 0; i < 12; i++)
        {
            Driver.Queues[i % 4].Send(new Piece(Head, 16), new Piece(Data, 512, true), new Piece(Status, 1, true));
            Driver.Notify(i % 4);
        }
        while (Driver.Queues.Sum(queue => queue.UsedIndex) < 12)
            foreach (DeviceWorker worker in Driver.Device.Workers)
                worker.RunOnce(1);
        Assert.InRange(HostClock.MonotonicNanoseconds() - started, 19_000_000, long.MaxValue);
        Assert.Equal(12, Metrics.LatencyByQueue.Sum(queue => queue.Count));
    }

    [Fact]
    public void A_pause_holds_every_queue_and_nothing_is_lost()
    {
        Start(queues: 3);
        Driver.Transport.Pause();
        for (int queue = 0; queue < 3; queue++)
        {
            Driver.Queues[queue].Send(new Piece(Head, 16), new Piece(Data, 512, true), new Piece(Status, 1, true));
            Driver.Notify(queue);
        }
        Driver.Run();
        Assert.Equal(0, Driver.Queues.Sum(queue => queue.UsedIndex));
        Driver.Transport.Resume();
        for (int queue = 0; queue < 3; queue++)
            NotifyAndFinish(queue);
        Assert.Equal(3, Driver.Queues.Sum(queue => queue.UsedIndex));
    }

    [Fact]
    public void A_driver_that_resets_in_the_middle_starts_again_with_every_queue()
    {
        Start(queues: 3);
        Fill(7);
        for (int round = 0; round < 20; round++)
        {
            for (int queue = 0; queue < 3; queue++)
            {
                for (int i = 0; i < 5; i++)
                    Driver.Queues[queue].Send(
                        new Piece(Head, 16), new Piece(Data, 512, true), new Piece(Status, 1, true));
                Driver.Notify(queue);
                Driver.Device.Workers[queue].RunOnce(0);
            }
            Driver.Write(VIRTIO_MMIO_STATUS, 0);
            Assert.Equal(0, Driver.Status);
            Memory.Clear();
            Driver.Run();
            Assert.Equal(0, Driver.Queues.Sum(queue => queue.UsedIndex));
            Driver.Start();
            Assert.Equal(VIRTIO_BLK_S_OK, Request(VIRTIO_BLK_T_IN, 0, new Piece(Data, 512, true)));
            Assert.Equal(7, Memory.At<byte>(Data));
            Driver.Write(VIRTIO_MMIO_STATUS, 0);
            Memory.Clear();
            Driver.Start();
        }
    }
}
