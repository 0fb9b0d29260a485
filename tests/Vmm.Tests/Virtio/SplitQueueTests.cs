using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Virtio;

/// <summary>The device's side of a queue: virtio 1.2, 2.7.</summary>
public sealed class SplitQueueTests : IDisposable
{
    private const ushort Size = 8;
    private const ulong Ring = TestRam.LowStart;
    private const ulong Data = TestRam.HighStart;
    private const ulong AllFeatures = 1UL << VIRTIO_RING_F_EVENT_IDX | 1UL << VIRTIO_RING_F_INDIRECT_DESC;

    private readonly TestRam _memory = new();
    private readonly TestQueue _driver;
    private readonly SplitQueue _queue;
    private readonly DescriptorChain _chain = new(Size);

    public SplitQueueTests()
    {
        _driver = new TestQueue(_memory, Ring, Size);
        _queue = new SplitQueue(_memory.Ram, Size);
        Enable(AllFeatures);
    }

    public void Dispose() => _memory.Dispose();

    private void Enable(ulong features)
    {
        _queue.Disable();
        Assert.True(_queue.TryEnable(Size, _driver.Descriptors, _driver.Available, _driver.Used));
        _queue.Activate(features);
    }

    private void AssertFault(QueueFault fault)
    {
        Assert.False(_queue.TryPop(_chain));
        Assert.Equal(fault, _queue.Fault);
        Assert.False(_queue.TryPop(_chain));
        Assert.False(_queue.EnableNotifications());
        Assert.Equal(0, _driver.UsedIndex);
    }

    [Requirement("2.7.8.2a")]
    [Fact]
    public void A_chain_arrives_and_returns()
    {
        _memory.Bytes(Data, 6).Fill(7);
        ushort head = _driver.Send(new Piece(Data, 4), new Piece(Data + 4, 2), new Piece(Data + 0x1000, 3, true));
        Assert.True(_queue.TryPop(_chain));
        Assert.Equal(head, _chain.Head);
        Assert.Equal(6u, _chain.ReadableBytes);
        Assert.Equal(3u, _chain.WritableBytes);
        byte[] read = new byte[6];
        Assert.True(_chain.TryRead(0, read));
        Assert.Equal([7, 7, 7, 7, 7, 7], read);
        Assert.True(_chain.TryWrite(1, [8, 9]));
        Assert.Equal([0, 8, 9], _memory.Bytes(Data + 0x1000, 3).ToArray());
        Assert.False(_queue.TryPop(_chain));
        Assert.Equal(0, _driver.UsedIndex);
        _queue.Push(head, 3);
        Assert.Equal(0, _driver.UsedIndex);
        Assert.True(_queue.Publish());
        Assert.Equal(1, _driver.UsedIndex);
        Assert.Equal((head, 3u), (_driver.UsedElement(0).id, _driver.UsedElement(0).len));
    }

    [Requirement("2.7.4.1a")]
    [Fact]
    public void Parts_of_a_chain_are_found_across_its_pieces()
    {
        for (int i = 0; i < 10; i++)
            _memory.At<byte>(Data + (ulong)i) = (byte)i;
        _driver.Send(
            new Piece(Data + 5, 5), new Piece(Data, 5),
            new Piece(Data + 0x100, 2, true), new Piece(Data + 0x200, 2, true));
        Assert.True(_queue.TryPop(_chain));
        byte[] part = new byte[4];
        Assert.True(_chain.TryRead(3, part));
        Assert.Equal([8, 9, 0, 1], part);
        Assert.True(_chain.TryRead(6, part));
        Assert.False(_chain.TryRead(7, part));
        Assert.False(_chain.TryRead(11, []));
        Assert.False(_chain.TryRead(uint.MaxValue, part));
        Assert.True(_chain.TryWrite(1, [1, 2]));
        Assert.Equal((1, 2), (_memory.At<byte>(Data + 0x101), _memory.At<byte>(Data + 0x200)));
        Assert.False(_chain.TryWrite(3, [1, 2]));
        Assert.Equal(0, _memory.At<byte>(Data + 0x201));
        iovec[] buffers = new iovec[Size];
        Assert.Equal(2, _chain.MapReadable(4, 3, buffers));
        Assert.Equal((1u, 2u), ((uint)buffers[0].iov_len, (uint)buffers[1].iov_len));
        Assert.Equal(1, _chain.MapWritable(2, 2, buffers));
        Assert.Equal(0, _chain.MapWritable(4, 0, buffers));
        Assert.Equal(-1, _chain.MapWritable(3, 2, buffers));
        Assert.Equal(-1, _chain.MapReadable(5, uint.MaxValue, buffers));
    }

    [Requirement("2.7.5.1a")]
    [Fact]
    public void What_is_only_to_be_read_is_not_written()
    {
        iovec[] buffers = new iovec[Size];
        _driver.Send(new Piece(Data, 4));
        Assert.True(_queue.TryPop(_chain));
        Assert.False(_chain.TryWrite(0, [1]));
        Assert.Equal(-1, _chain.MapWritable(0, 1, buffers));
        _driver.Send(new Piece(Data, 4), new Piece(Data + 4, 4, true));
        Assert.True(_queue.TryPop(_chain));
        Assert.True(_chain.TryWrite(0, [1, 2, 3, 4]));
        Assert.False(_chain.TryWrite(1, [1, 2, 3, 4]));
        Assert.Equal(1, _chain.MapWritable(0, 4, buffers));
        Assert.Equal(-1, _chain.MapWritable(0, 5, buffers));
        Assert.Equal([0, 0, 0, 0, 1, 2, 3, 4], _memory.Bytes(Data, 8).ToArray());
    }

    [Fact]
    public void Indices_go_round_at_65536()
    {
        for (int i = 0; i < 70_000; i++)
        {
            ushort head = _driver.Send(new Piece(Data, 1, true));
            Assert.True(_queue.TryPop(_chain));
            _queue.Push(_chain.Head, (uint)i);
            _queue.Publish();
            Assert.Equal(head, _driver.UsedElement(i % Size).id);
            Assert.Equal((uint)i, _driver.UsedElement(i % Size).len);
        }
        Assert.Equal(unchecked((ushort)70_000), _driver.UsedIndex);
    }

    [Fact]
    public void A_chain_that_is_put_back_comes_again()
    {
        ushort first = _driver.Send(new Piece(Data, 1));
        _driver.Send(new Piece(Data, 2));
        Assert.True(_queue.TryPop(_chain));
        _queue.Unpop();
        Assert.True(_queue.TryPop(_chain));
        Assert.Equal((first, 1u), (_chain.Head, _chain.ReadableBytes));
        Assert.True(_queue.TryPop(_chain));
        Assert.Equal(2u, _chain.ReadableBytes);
    }

    [Fact]
    public void An_indirect_table_counts_as_its_descriptors()
    {
        _driver.SendIndirect(new Piece(Data, 4), new Piece(Data, 4), new Piece(Data, 5, true));
        Assert.True(_queue.TryPop(_chain));
        Assert.Equal((8u, 5u), (_chain.ReadableBytes, _chain.WritableBytes));
    }

    [Requirement("2.7.5.3.2b")]
    [Fact]
    public void Direct_descriptors_may_come_before_an_indirect_table()
    {
        _driver.IndirectDescriptor(0) = TestQueue.Make(new Piece(Data, 5, true), false, 0);
        _driver.Descriptor(0) = TestQueue.Make(new Piece(Data, 4), true, 1);
        _driver.Descriptor(1) = Table();
        _driver.MakeAvailable(0);
        Assert.True(_queue.TryPop(_chain));
        Assert.Equal((4u, 5u), (_chain.ReadableBytes, _chain.WritableBytes));
    }

    [Requirement("2.7.5.3.2a")]
    [Fact]
    public void The_write_flag_of_a_table_means_nothing()
    {
        _driver.SendIndirect(new Piece(Data, 4), new Piece(Data, 5, true));
        _driver.Descriptor(0).flags |= VRING_DESC_F_WRITE;
        Assert.True(_queue.TryPop(_chain));
        Assert.Equal((4u, 5u), (_chain.ReadableBytes, _chain.WritableBytes));
    }

    [Theory]
    [InlineData((ushort)0)]
    [InlineData((ushort)3)]
    [InlineData((ushort)6)]
    [InlineData((ushort)16)]
    [InlineData((ushort)0x8000)]
    [InlineData(ushort.MaxValue)]
    public void A_size_that_no_queue_has_is_refused(ushort size)
    {
        _queue.Disable();
        Assert.False(_queue.TryEnable(size, _driver.Descriptors, _driver.Available, _driver.Used));
        Assert.False(_queue.IsReady);
        Assert.False(_queue.TryPop(_chain));
    }

    [Theory]
    [InlineData(Ring + 8, Ring + 0x1000, Ring + 0x2000)] // unaligned, each in turn
    [InlineData(Ring, Ring + 0x1001, Ring + 0x2000)]
    [InlineData(Ring, Ring + 0x1000, Ring + 0x2002)]
    [InlineData(0ul, Ring + 0x1000, Ring + 0x2000)] // no RAM
    [InlineData(Ring, 0xfffffffffffffff0ul, Ring + 0x2000)]
    [InlineData(Ring, Ring + 0x1000, Ring + (1 << 20) - 8)] // the end is not RAM
    [InlineData(Ring, Ring, Ring + 0x2000)] // in one another
    [InlineData(Ring, Ring + 0x70, Ring + 0x2000)]
    [InlineData(Ring, Ring + 0x1000, Ring + 0x1010)]
    [InlineData(Ring + 0x40, Ring + 0x1000, Ring)]
    public void Rings_that_cannot_be_there_are_refused(ulong descriptors, ulong available, ulong used)
    {
        _queue.Disable();
        Assert.False(_queue.TryEnable(Size, descriptors, available, used));
        Assert.False(_queue.IsReady);
    }

    [Flaw("chain-loop")]
    [Fact]
    public void A_loop_ends()
    {
        for (ushort i = 0; i < Size; i++)
            _driver.Descriptor(i) = TestQueue.Make(new Piece(Data, 1), true, (ushort)((i + 1) % Size));
        _driver.MakeAvailable(0);
        AssertFault(QueueFault.TooLong);
    }

    [Flaw("chain-loop")]
    [Fact]
    public void A_descriptor_that_follows_itself_ends()
    {
        _driver.Descriptor(3) = TestQueue.Make(new Piece(Data, 1), true, 3);
        _driver.MakeAvailable(3);
        AssertFault(QueueFault.TooLong);
    }

    [Flaw("chain-loop")]
    [Fact]
    public void A_loop_in_a_table_ends()
    {
        _driver.IndirectDescriptor(0) = TestQueue.Make(new Piece(Data, 1), true, 0);
        _driver.Descriptor(0) = Table();
        _driver.MakeAvailable(0);
        AssertFault(QueueFault.TooLong);
    }

    [Flaw("chain-length")]
    [Theory]
    [InlineData(8, QueueFault.None)]
    [InlineData(9, QueueFault.TooLong)]
    public void A_chain_is_no_longer_than_the_queue(int length, QueueFault fault)
    {
        Piece[] pieces = new Piece[length];
        Array.Fill(pieces, new Piece(Data, 1));
        _driver.SendIndirect(pieces);
        Assert.Equal(fault == QueueFault.None, _queue.TryPop(_chain));
        Assert.Equal(fault, _queue.Fault);
    }

    [Fact]
    public void A_table_in_a_table_is_refused()
    {
        _driver.IndirectDescriptor(0) = Table();
        _driver.Descriptor(0) = Table();
        _driver.MakeAvailable(0);
        AssertFault(QueueFault.NestedIndirect);
    }

    [Fact]
    public void A_table_that_was_not_negotiated_is_refused()
    {
        Enable(0);
        _driver.SendIndirect(new Piece(Data, 1));
        AssertFault(QueueFault.IndirectNotNegotiated);
    }

    [Fact]
    public void A_table_that_goes_on_is_refused()
    {
        _driver.SendIndirect(new Piece(Data, 1));
        _driver.Descriptor(0).flags |= VRING_DESC_F_NEXT;
        AssertFault(QueueFault.IndirectWithNext);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(15u)]
    [InlineData(17u)]
    [InlineData(uint.MaxValue)]
    public void A_table_has_whole_descriptors(uint length)
    {
        _driver.SendIndirect(new Piece(Data, 1));
        _driver.Descriptor(0).len = length;
        AssertFault(QueueFault.IndirectSize);
    }

    [Theory]
    [InlineData(0ul, 16u)]
    [InlineData(TestRam.LowStart + (1 << 20) - 8, 16u)]
    [InlineData(ulong.MaxValue - 7, 16u)]
    [InlineData(TestRam.LowStart, 0xfffffff0u)]
    public void A_table_is_in_RAM(ulong address, uint length)
    {
        _driver.SendIndirect(new Piece(Data, 1));
        _driver.Descriptor(0).addr = address;
        _driver.Descriptor(0).len = length;
        AssertFault(QueueFault.NotRam);
    }

    [Flaw("index-outside")]
    [Theory]
    [InlineData((ushort)8)]
    [InlineData((ushort)0x8000)]
    [InlineData(ushort.MaxValue)]
    public void A_head_is_in_the_table(ushort head)
    {
        _driver.MakeAvailable(head);
        AssertFault(QueueFault.HeadIndex);
    }

    [Flaw("index-outside")]
    [Theory]
    [InlineData((ushort)8)]
    [InlineData(ushort.MaxValue)]
    public void A_next_descriptor_is_in_the_table(ushort next)
    {
        _driver.Descriptor(0) = TestQueue.Make(new Piece(Data, 1), true, next);
        _driver.MakeAvailable(0);
        AssertFault(QueueFault.NextIndex);
    }

    [Flaw("index-outside")]
    [Fact]
    public void A_next_descriptor_of_a_table_is_in_that_table()
    {
        _driver.SendIndirect(new Piece(Data, 1), new Piece(Data, 1));
        _driver.Descriptor(0).len = 16;
        AssertFault(QueueFault.NextIndex);
    }

    [Flaw("index-ahead")]
    [Theory]
    [InlineData((ushort)9)]
    [InlineData((ushort)0x8000)]
    [InlineData(ushort.MaxValue)]
    public void No_more_chains_are_available_than_the_queue_has_places(ushort index)
    {
        _driver.Send(new Piece(Data, 1));
        _driver.AvailableIndex = index;
        AssertFault(QueueFault.AvailableIndex);
    }

    [Flaw("index-ahead")]
    [Fact]
    public void The_available_index_does_not_go_back()
    {
        _driver.Send(new Piece(Data, 1));
        _driver.Send(new Piece(Data, 1));
        Assert.True(_queue.TryPop(_chain));
        Assert.True(_queue.TryPop(_chain));
        _driver.AvailableIndex = 1;
        AssertFault(QueueFault.AvailableIndex);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_buffer_has_bytes(bool isWritable)
    {
        _driver.Send(new Piece(Data, 0, isWritable));
        AssertFault(QueueFault.ZeroLength);
    }

    [Flaw("wrapping-address")]
    [Flaw("registers")]
    [Theory]
    [InlineData(0ul, 1u)]
    [InlineData(TestRam.LowStart - 1, 1u)]
    [InlineData(TestRam.LowStart + (1 << 20) - 1, 2u)]
    [InlineData(0xfee0_0000ul, 4u)]
    [InlineData(ulong.MaxValue, 1u)]
    [InlineData(ulong.MaxValue, 2u)]
    [InlineData(TestRam.HighStart, uint.MaxValue)]
    public void A_buffer_is_RAM(ulong address, uint length)
    {
        _driver.Send(new Piece(Data, 1), new Piece(address, length, true));
        AssertFault(QueueFault.NotRam);
    }

    [Fact]
    public void What_is_written_comes_after_what_is_read()
    {
        _driver.Send(new Piece(Data, 1, true), new Piece(Data, 1));
        AssertFault(QueueFault.Order);
    }

    [Flaw("virtio-queue-0.8.0")]
    [Flaw("four-gigabytes")]
    [Fact]
    public unsafe void Four_gigabytes_are_too_many()
    {
        // RAM that nothing touches: 2 GiB, three times.
        using MemoryMapping large = MemoryMapping.Reserve((nuint)2 << 30);
        GuestRam ram = new(
            new RamRegion(new PhysicalAddress(TestRam.LowStart), _memory.Ram.Find(Ring, 1 << 20), 1 << 20),
            new RamRegion(new PhysicalAddress(8UL << 32), large.Address, 2UL << 30));
        SplitQueue queue = new(ram, Size);
        Assert.True(queue.TryEnable(Size, _driver.Descriptors, _driver.Available, _driver.Used));
        queue.Activate(AllFeatures);
        _driver.Send(new Piece(8UL << 32, 2u << 30), new Piece(8UL << 32, (2u << 30) - 1, true));
        Assert.True(queue.TryPop(_chain));
        Assert.Equal((2u << 30, (2u << 30) - 1), (_chain.ReadableBytes, _chain.WritableBytes));
        _driver.Send(new Piece(8UL << 32, 2u << 30), new Piece(8UL << 32, 2u << 30, true));
        Assert.False(queue.TryPop(_chain));
        Assert.Equal(QueueFault.TooManyBytes, queue.Fault);
    }

    // Of 255 and 256, the halves of which make 511 and 0, while another thread goes from one to the other.
    [Flaw("RUSTSEC-2020-0157")]
    [Fact]
    public void An_index_is_read_in_one_piece()
    {
        TestQueue driver = new(_memory, Ring, 256);
        driver.Descriptor(0) = TestQueue.Make(new Piece(Data, 8), false, 0);
        driver.AvailableIndex = 255;
        using CancellationTokenSource end = new();
        Thread writer = new(() =>
        {
            while (!end.IsCancellationRequested)
            {
                Volatile.Write(ref driver.AvailableIndex, 256);
                Volatile.Write(ref driver.AvailableIndex, 255);
            }
        });
        writer.Start();
        SplitQueue queue = new(_memory.Ram, 256);
        for (int round = 0; round < 200_000; round++)
        {
            queue.Disable();
            Assert.True(queue.TryEnable(256, driver.Descriptors, driver.Available, driver.Used));
            Assert.True(queue.TryPop(_chain), queue.Fault.ToString());
        }
        end.Cancel();
        writer.Join();
    }

    [Flaw("changed-while-read")]
    [Fact]
    public void A_chain_stays_what_it_was_while_the_driver_rewrites_it()
    {
        _driver.Send(new Piece(Data, 4), new Piece(Data + 4, 4, true));
        Assert.True(_queue.TryPop(_chain));
        _driver.Descriptor(0) = default;
        _driver.Descriptor(1) = TestQueue.Make(new Piece(ulong.MaxValue, uint.MaxValue, true), true, 0);
        Assert.Equal((4u, 4u), (_chain.ReadableBytes, _chain.WritableBytes));
        Assert.True(_chain.TryWrite(0, [1, 2, 3, 4]));
        Assert.Equal([1, 2, 3, 4], _memory.Bytes(Data + 4, 4).ToArray());
    }

    [Requirement("2.7.7.2a")]
    [Requirement("2.7.7.2b")]
    [Fact]
    public void Without_event_indices_the_driver_says_whether_it_wants_interrupts()
    {
        Enable(1UL << VIRTIO_RING_F_INDIRECT_DESC);
        Assert.False(_queue.Publish());
        Return();
        Assert.True(_queue.Publish());
        Assert.False(_queue.Publish());
        // Where the other way of saying so would be, anything may be.
        _driver.UsedEvent = 0x1234;
        Return();
        Assert.True(_queue.Publish());
        _driver.AvailableFlags = VRING_AVAIL_F_NO_INTERRUPT;
        _driver.UsedEvent = 2;
        Return();
        Assert.False(_queue.Publish());
    }

    [Requirement("2.7.7.2c")]
    [Requirement("2.7.7.2d")]
    [Fact]
    public void With_event_indices_the_driver_is_interrupted_once_the_index_is_passed()
    {
        _driver.AvailableFlags = VRING_AVAIL_F_NO_INTERRUPT;
        _driver.UsedEvent = 2;
        Return();
        Assert.False(_queue.Publish());
        Return();
        Assert.False(_queue.Publish());
        Return();
        Assert.True(_queue.Publish());
        Return();
        Assert.False(_queue.Publish());
        _driver.UsedEvent = 5;
        Return();
        Return();
        Return();
        Assert.True(_queue.Publish());
    }

    [Requirement("2.7.10.2a")]
    [Fact]
    public void Without_event_indices_the_device_says_whether_it_wants_notifications()
    {
        Enable(0);
        _queue.DisableNotifications();
        Assert.Equal(VRING_USED_F_NO_NOTIFY, _driver.UsedFlags);
        Assert.False(_queue.EnableNotifications());
        Assert.Equal(0, _driver.UsedFlags);
        _driver.Send(new Piece(Data, 1));
        Assert.True(_queue.EnableNotifications());
    }

    [Requirement("2.7.10.2b")]
    [Fact]
    public void With_event_indices_the_device_asks_for_the_next_chain()
    {
        _driver.UsedFlags = 0xffff;
        Enable(AllFeatures);
        Assert.Equal(0, _driver.UsedFlags);
        Assert.Equal(0, _driver.AvailableEvent);
        Return();
        _queue.DisableNotifications();
        Assert.Equal(0, _driver.UsedFlags);
        Assert.False(_queue.EnableNotifications());
        Assert.Equal(1, _driver.AvailableEvent);
        _driver.Send(new Piece(Data, 1));
        Assert.True(_queue.EnableNotifications());
    }

    [Fact]
    public void A_queue_that_was_saved_goes_on_where_it_was()
    {
        for (int i = 0; i < 11; i++)
            Return();
        _queue.Publish();
        QueueState state = _queue.Save();
        SplitQueue other = new(_memory.Ram, Size);
        Assert.True(other.TryRestore(state));
        other.Activate(AllFeatures);
        ushort head = _driver.Send(new Piece(Data, 3));
        Assert.True(other.TryPop(_chain));
        Assert.Equal((head, 3u), (_chain.Head, _chain.ReadableBytes));
        other.Push(head, 1);
        other.Publish();
        Assert.Equal(12, _driver.UsedIndex);
    }

    [Flaw("saved-state")]
    [Fact]
    public void A_state_that_no_queue_has_is_refused()
    {
        QueueState state = _queue.Save();
        SplitQueue other = new(_memory.Ram, Size);
        Assert.False(other.TryRestore(state with { Size = 16 }));
        Assert.False(other.TryRestore(state with { Size = 0 }));
        Assert.False(other.TryRestore(state with { Used = state.Available }));
        Assert.False(other.TryRestore(state with { Descriptors = 1 << 30 }));
        Assert.False(other.TryRestore(state with { IsReady = false }));
        Assert.False(other.IsReady);
        Assert.True(other.TryRestore(default));
        Assert.True(other.TryRestore(state with { NextAvailable = 0xfff0, NextUsed = 17 }));
        other.Activate(AllFeatures);
        Assert.False(other.TryPop(_chain));
        Assert.Equal(QueueFault.AvailableIndex, other.Fault);
    }

    [Fact]
    public void Serving_allocates_nothing()
    {
        Serve(10);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Serve(1000);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Serve(int count)
        {
            Span<byte> data = stackalloc byte[4];
            for (int i = 0; i < count; i++)
            {
                _driver.Send(new Piece(Data, 4), new Piece(Data + 4, 4, true));
                _queue.DisableNotifications();
                if (!_queue.TryPop(_chain) || !_chain.TryRead(0, data) || !_chain.TryWrite(0, data))
                    throw new InvalidOperationException();
                _queue.Push(_chain.Head, 4);
                _queue.Publish();
                _queue.EnableNotifications();
            }
        }
    }

    private vring_desc Table() =>
        new() { addr = _driver.IndirectTable, len = 16, flags = VRING_DESC_F_INDIRECT };

    private void Return()
    {
        _driver.Send(new Piece(Data, 1));
        Assert.True(_queue.TryPop(_chain));
        _queue.Push(_chain.Head, 0);
    }
}
