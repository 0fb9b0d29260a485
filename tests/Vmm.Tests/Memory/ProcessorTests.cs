using Sandbox.Vmm.Memory;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Memory;

/// <summary>When processors are told that their translations have become wrong, and which of them.</summary>
public sealed class ProcessorTests : IDisposable
{
    private const ulong Start = 0x20_0000;

    private readonly GuestMemory _memory = new(64 << 20, new NoSlots());
    private readonly AddressSpace _space;
    private readonly FakeCpu _self, _other;

    public ProcessorTests()
    {
        _space = _memory.CreateAddressSpace()!;
        _self = new FakeCpu(_space);
        _other = new FakeCpu(_space);
    }

    public void Dispose() => _memory.Dispose();

    private static VirtualAddress At(ulong page) => new(Start + (page * Page.Size));

    private static void Map(AddressSpace space, ulong page, int flags, IMappable? backing = null) =>
        Assert.True(space.Map(At(page), Page.Size, Protection.ReadWrite, flags | MAP_FIXED, backing, 0) > 0);

    [Fact]
    public void A_memory_barrier_does_not_hide_that_a_processor_has_something_to_forget()
    {
        Map(_space, 0, MAP_PRIVATE | MAP_ANONYMOUS);
        Assert.True(_space.TryWrite(At(0), (byte)1));
        // Out of the guest, on its way to the barrier, when another processor's munmap is completed.
        Assert.Equal(0, _space.Unmap(At(0), Page.Size));
        Assert.True(_space.CompleteEdits(_other));
        _space.InterruptOthers(_self);
        Assert.NotEqual(_space.Generation, _self.SeenGeneration);
    }

    [Fact]
    public void A_memory_barrier_calls_the_others_out_and_leaves_its_own_processor_as_it_is()
    {
        _other.IsInGuest = true;
        _space.InterruptOthers(_self);
        Assert.Equal((1, false), (_other.Interrupts, _other.IsInGuest));
        Assert.Equal(_space.Generation, _self.SeenGeneration);
        Assert.NotEqual(_space.Generation, _other.SeenGeneration);
    }

    [Fact]
    public void After_a_fork_no_other_processor_writes_to_what_is_shared()
    {
        Map(_space, 0, MAP_PRIVATE | MAP_ANONYMOUS);
        Assert.True(_space.TryWrite(At(0), (byte)1));
        _other.IsInGuest = true;
        AddressSpace child = _space.Fork(_self)!;
        Assert.Equal((1, false), (_other.Interrupts, _other.IsInGuest));
        Assert.Equal(1, _self.Rewritten);
        // Nothing is left to do before the program goes on.
        Assert.True(_space.CompleteEdits(_self));
        Assert.Equal(1, _self.Rewritten);
        child.Release();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Another_process_is_called_out_when_an_object_loses_pages(bool hole)
    {
        AddressSpace elsewhere = _memory.CreateAddressSpace()!;
        FakeCpu busy = new(elsewhere);
        PagedObject shared = _memory.CreateObject("object", 1, 1, quota: null);
        shared.SetLength(Page.Size);
        Map(elsewhere, 0, MAP_SHARED, shared);
        Assert.True(elsewhere.TryWrite(At(0), (byte)1));
        busy.IsInGuest = true;
        if (hole)
            shared.PunchHole(0, Page.Size);
        else
            Assert.Equal(0, shared.SetLength(0));
        Assert.Equal((1, false), (busy.Interrupts, busy.IsInGuest));
        Assert.NotEqual(elsewhere.Generation, busy.SeenGeneration);
        Assert.True(elsewhere.CompleteEdits(busy));
        Assert.Equal(1, busy.Rewritten);
        // What was not mapped is nobody's business.
        busy.IsInGuest = true;
        Assert.Equal(0, shared.SetLength(0));
        shared.PunchHole(0, Page.Size);
        Assert.Equal(1, busy.Interrupts);
    }

    [Fact]
    public void A_fault_while_pages_are_taken_away_finds_a_page_that_stays()
    {
        PagedObject shared = _memory.CreateObject("object", 1, 1, quota: null);
        shared.SetLength(Page.Size);
        Map(_space, 0, MAP_SHARED, shared);
        Assert.True(_space.TryWrite(At(0), (byte)1));
        _other.IsInGuest = true;
        _other.Interrupted = () =>
        {
            Assert.Equal(FaultResult.Resolved, _space.HandleFault(At(0), write: true, execute: false));
            Assert.True(_space.TryWrite(At(0), (byte)2));
        };
        shared.PunchHole(0, Page.Size);
        Span<byte> found = stackalloc byte[1];
        Assert.Equal(1, shared.Read(0, found));
        Assert.Equal(2, found[0]);
        Assert.Equal(1, shared.Write(0, [3]));
        Assert.True(_space.TryRead(At(0), out byte seen));
        Assert.Equal(3, seen);
    }

    [Fact]
    public void Forks_while_pages_are_taken_away_keep_none()
    {
        PagedObject shared = _memory.CreateObject("object", 1, 1, quota: null);
        shared.SetLength(Page.Size);
        AddressSpace parent = _memory.CreateAddressSpace()!;
        Map(_space, 0, MAP_SHARED, shared);
        Map(parent, 0, MAP_SHARED, shared);
        Assert.True(_space.TryWrite(At(0), (byte)1));
        Assert.True(parent.TryRead(At(0), out byte _));
        _other.IsInGuest = true;
        AddressSpace? child = null;
        // The first space has lost the page, and the second not yet.
        _other.Interrupted = () => child = parent.Fork(new FakeCpu(parent));
        shared.PunchHole(0, Page.Size);
        Assert.Equal(1, shared.Write(0, [2]));
        foreach (AddressSpace space in new[] { _space, parent, child! })
        {
            Assert.True(space.TryRead(At(0), out byte seen));
            Assert.Equal(2, seen);
        }
    }

    [Fact]
    public void Two_processes_that_take_pages_from_each_other_are_both_let_out()
    {
        AddressSpace elsewhere = _memory.CreateAddressSpace()!;
        FakeCpu busy = new(elsewhere);
        PagedObject shared = _memory.CreateObject("object", 1, 1, quota: null);
        shared.SetLength(64 * Page.Size);
        foreach (AddressSpace space in new[] { _space, elsewhere })
            Assert.True(space.Map(
                At(0), 64 * Page.Size, Protection.ReadWrite, MAP_SHARED | MAP_FIXED, shared, 0) > 0);
        Thread[] threads = [.. new[] { (_space, _self), (elsewhere, busy) }.Select(pair => new Thread(() =>
        {
            (AddressSpace space, FakeCpu cpu) = pair;
            for (int i = 0; i < 5_000; i++)
            {
                cpu.IsInGuest = false;
                space.TryWrite(At((ulong)i % 64), (byte)1);
                space.Advise(At(0), 64 * Page.Size, MADV_REMOVE);
                cpu.Enter(space);
            }
            cpu.IsInGuest = false;
        })
        { IsBackground = true })];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            Assert.True(thread.Join(TimeSpan.FromSeconds(60)), "the two wait for each other");
    }
}
