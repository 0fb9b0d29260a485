using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Memory;

/// <summary>
/// mmap(2) and its family where they are easily got wrong; the fuzz target "memory" covers them as a whole.
/// </summary>
public sealed class AddressSpaceTests : IDisposable
{
    private const int Private = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    private const ulong Start = 0x20_0000;

    private readonly GuestMemory _memory = new(64 << 20, new NoSlots());

    public void Dispose() => _memory.Dispose();

    private static VirtualAddress At(ulong page) => new(Start + (page * Page.Size));

    private static long Map(AddressSpace space, ulong page, ulong pages, int flags = Private, IMappable? backing = null,
        Protection protection = Protection.ReadWrite, bool mayWrite = true) =>
        space.Map(At(page), pages * Page.Size, protection, flags, backing, 0, mayWrite: mayWrite);

    private PagedObject Object(long pages)
    {
        PagedObject made = _memory.CreateObject("object", 1, 1, quota: null);
        made.SetLength(pages * Page.Size);
        return made;
    }

    private static byte Read(AddressSpace space, ulong page)
    {
        Assert.True(space.TryRead(At(page), out byte value));
        return value;
    }

    /// <summary>Takes all memory but so many pages.</summary>
    private static void Fill(GuestMemory memory, int spare)
    {
        while (memory.Pool.AvailablePages > spare)
            Assert.False(memory.Pool.AllocatePage().IsNone);
    }

    [Fact]
    public void Only_private_anonymous_memory_grows_down()
    {
        AddressSpace space = _memory.CreateAddressSpace()!;
        Assert.Equal(-EINVAL, Map(space, 0, 1, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN));
        Assert.Equal(-EINVAL, Map(space, 0, 1, MAP_PRIVATE | MAP_FIXED | MAP_GROWSDOWN, Object(1)));
        Assert.True(Map(space, 0, 1, Private | MAP_GROWSDOWN) > 0);
    }

    [Fact]
    public void A_hole_leaves_private_copies_and_a_shorter_object_does_not()
    {
        AddressSpace space = _memory.CreateAddressSpace()!;
        PagedObject shared = Object(2);
        Map(space, 0, 2, MAP_SHARED | MAP_FIXED, shared);
        Map(space, 16, 2, MAP_PRIVATE | MAP_FIXED, shared);
        Assert.True(space.TryWrite(At(0), (byte)1));
        Assert.Equal(1, Read(space, 17 - 1));
        Assert.True(space.TryWrite(At(16), (byte)2));
        Assert.Equal(0, space.Advise(At(0), Page.Size, MADV_REMOVE));
        Assert.Equal(0, Read(space, 0));
        Assert.Equal(2, Read(space, 16));
        Assert.Equal(0, shared.SetLength(0));
        Assert.False(space.TryRead(At(16), out byte _));
    }

    [Fact]
    public void Only_who_may_write_an_object_punches_holes_into_it()
    {
        AddressSpace space = _memory.CreateAddressSpace()!;
        PagedObject shared = Object(1);
        Map(space, 0, 1, MAP_SHARED | MAP_FIXED, shared, Protection.Read, mayWrite: false);
        Map(space, 1, 1, MAP_PRIVATE | MAP_FIXED, shared);
        Map(space, 2, 1);
        Assert.Equal(-EACCES, space.Advise(At(0), Page.Size, MADV_REMOVE));
        Assert.Equal(-EACCES, space.Advise(At(1), Page.Size, MADV_REMOVE));
        Assert.Equal(-EINVAL, space.Advise(At(2), Page.Size, MADV_REMOVE));
    }

    [Fact]
    public void Two_processes_that_punch_holes_into_one_object_do_not_wait_for_each_other()
    {
        AddressSpace[] spaces = [_memory.CreateAddressSpace()!, _memory.CreateAddressSpace()!];
        PagedObject shared = Object(64);
        foreach (AddressSpace space in spaces)
            Map(space, 0, 64, MAP_SHARED | MAP_FIXED, shared);
        Thread[] threads = [.. spaces.Select(space => new Thread(() =>
        {
            for (int i = 0; i < 20_000; i++)
            {
                space.TryWrite(At((ulong)i % 64), (byte)1);
                space.Advise(At(0), 64 * Page.Size, MADV_REMOVE);
            }
        })
        { IsBackground = true })];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            Assert.True(thread.Join(TimeSpan.FromSeconds(60)), "the two wait for each other");
    }

    [Fact]
    public void A_page_is_not_free_before_the_edit_that_parked_it_is_complete()
    {
        AddressSpace space = _memory.CreateAddressSpace()!;
        Map(space, 0, 1);
        Assert.True(space.TryWrite(At(0), (byte)1));
        long used = _memory.Pool.UsedPages;
        Assert.Equal(0, space.Protect(At(0), Page.Size, Protection.None));
        // Another thread may still run with the old translation.
        Assert.Equal(0, space.Advise(At(0), Page.Size, MADV_DONTNEED));
        Assert.Equal(used, _memory.Pool.UsedPages);
    }

    [Fact]
    public void A_fixed_mapping_that_finds_no_memory_leaves_what_was_there()
    {
        AddressSpace space = _memory.CreateAddressSpace()!;
        Map(space, 0, Page.PerLarge);
        // In order, as a program does, until a large page comes.
        for (ulong page = 0; page < Page.PerLarge; page++)
            space.HandleFault(At(page), write: true, execute: false);
        Map(space, Page.PerLarge, Page.PerLarge);
        for (ulong page = Page.PerLarge; page < 2 * Page.PerLarge; page++)
            space.HandleFault(At(page), write: true, execute: false);
        Fill(_memory, 0);
        // Splitting a large page takes a page table.
        Assert.Equal(-ENOMEM, Map(space, Page.PerLarge + 1, 1, Private, null, Protection.Read));
        ulong end = 0;
        foreach (MappingDescription line in space.Describe())
        {
            Assert.True(line.Start >= end, "mappings overlap");
            end = line.End;
        }
    }

    [Fact]
    public void A_move_that_finds_no_memory_loses_nothing()
    {
        AddressSpace space = _memory.CreateAddressSpace()!;
        Map(space, 0, 4);
        for (ulong page = 0; page < 4; page++)
            Assert.True(space.TryWrite(At(page), (byte)(page + 1)));
        Fill(_memory, 0);
        // Far away, where the page tables are not there yet.
        Assert.Equal(-ENOMEM, space.Remap(At(0), 4 * Page.Size, 4 * Page.Size, MREMAP_MAYMOVE | MREMAP_FIXED,
            new VirtualAddress(0x7000_0000_0000)));
        for (ulong page = 0; page < 4; page++)
            Assert.Equal((byte)(page + 1), Read(space, page));
        Assert.Single(space.Describe());
    }

    [Fact]
    public void Writing_nothing_past_the_end_of_an_object_does_not_make_it_longer()
    {
        PagedObject made = Object(1);
        Assert.Equal(0, made.Write(100 * Page.Size, []));
        Assert.Equal(Page.Size, made.Length);
    }

    [Fact]
    public void A_file_whose_growing_part_finds_no_room_leaves_the_window_whole()
    {
        using FileDescriptor file = FileDescriptor.CreateMemory("file", 64 << 20);
        FileWindow window = _memory.Window;
        // One file that stays mapped takes all the window but a little: 16 MiB pieces of 16 GiB.
        using FileDescriptor huge = FileDescriptor.CreateMemory("huge", 16L << 30);
        Assert.Equal(0, window.Open(new HostFileMapping(file, false, "file", 1, 2), 0, Page.Size,
            out WindowFile? small));
        long error = window.Open(new HostFileMapping(huge, false, "huge", 1, 1), 0, (16UL << 30) - (4UL << 20),
            out WindowFile? taken);
        Assert.Equal(0, error);
        Assert.Equal(-ENOMEM, window.Open(new HostFileMapping(file, false, "file", 1, 2), 0, 8 << 20, out _));
        window.Release(small!);
        window.Release(taken!);
        // Both are idle now: the next takes their room, one after the other.
        Assert.Equal(0, window.Open(new HostFileMapping(file, false, "other", 1, 3), 0, 48 << 20, out _));
    }

    [Fact]
    public void A_mapping_that_finds_no_room_takes_none()
    {
        using FileDescriptor file = FileDescriptor.CreateMemory("file", 64 << 20);
        using FileDescriptor huge = FileDescriptor.CreateMemory("huge", 16L << 30);
        FileWindow window = _memory.Window;
        Assert.Equal(0, window.Open(new HostFileMapping(file, false, "file", 1, 2), 0, Page.Size, out WindowFile? small));
        // Another file that stays leaves 40 MiB less 2.
        Assert.Equal(0, window.Open(new HostFileMapping(huge, false, "huge", 1, 1), 0, (16UL << 30) - (40UL << 20), out _));
        Assert.Equal(-ENOMEM, window.Open(new HostFileMapping(file, false, "file", 1, 2), 0, 48 << 20, out _));
        Assert.True(small!.AddressOf(Page.LargeSize).IsNone);
        Assert.False(small.AddressOf(0).IsNone);
        Assert.Equal(0, window.Open(new HostFileMapping(file, false, "file", 1, 3), 0, 32 << 20, out _));
    }

    [Fact]
    public void Room_that_small_files_give_back_is_enough_for_a_large_one()
    {
        using FileDescriptor file = FileDescriptor.CreateMemory("file", 64 << 20);
        using FileDescriptor huge = FileDescriptor.CreateMemory("huge", 16L << 30);
        FileWindow window = _memory.Window;
        List<WindowFile> small = [];
        for (ulong inode = 10; inode < 18; inode++)
        {
            Assert.Equal(0, window.Open(new HostFileMapping(file, false, "file", 1, inode), 0, Page.Size, out WindowFile? one));
            small.Add(one!);
        }
        Assert.Equal(0, window.Open(new HostFileMapping(huge, false, "huge", 1, 1), 0, (16UL << 30) - (16UL << 20), out _));
        foreach (int i in new[] { 1, 0, 3, 2, 7, 5, 6, 4 })
            window.Release(small[i]);
        Assert.Equal(0, window.Open(new HostFileMapping(file, false, "file", 1, 2), 0, 16 << 20, out _));
    }

    [Fact]
    public void A_futex_in_a_file_is_one_whoever_may_write_it()
    {
        using FileDescriptor file = FileDescriptor.CreateMemory("file", 2 * Page.Size);
        AddressSpace reader = _memory.CreateAddressSpace()!, writer = _memory.CreateAddressSpace()!;
        Map(reader, 0, 2, MAP_SHARED | MAP_FIXED, new HostFileMapping(file, false, "file", 1, 2), Protection.Read);
        Map(writer, 7, 2, MAP_SHARED | MAP_FIXED, new HostFileMapping(file, true, "file", 1, 2));
        Map(writer, 16, 2, MAP_SHARED | MAP_FIXED, new HostFileMapping(file, true, "other", 1, 3));
        Assert.True(reader.TryGetFutexKey(At(1), isPrivate: false, out FutexKey key));
        Assert.True(writer.TryGetFutexKey(At(8), isPrivate: false, out FutexKey same));
        Assert.True(writer.TryGetFutexKey(At(17), isPrivate: false, out FutexKey other));
        Assert.Same(key.Owner, same.Owner);
        Assert.Equal(key.Offset, same.Offset);
        Assert.NotSame(key.Owner, other.Owner);
    }

    [Fact]
    public void A_fork_splits_the_large_pages_that_are_there_however_long_the_mapping()
    {
        AddressSpace space = _memory.CreateAddressSpace()!;
        space.Map(At(0), 100UL << 40, Protection.ReadWrite, Private | MAP_NORESERVE, null, 0);
        for (ulong page = 0; page < 2 * Page.PerLarge; page++)
            space.HandleFault(At(page), write: true, execute: false);
        Assert.True(space.TryWrite(At(Page.PerLarge + 1), (byte)1));
        FakeCpu cpu = new(space);
        // Looking for each that could be there takes seconds.
        long best = long.MaxValue;
        for (int i = 0; i < 5; i++)
        {
            long begun = Environment.TickCount64;
            AddressSpace other = space.Fork(cpu)!;
            best = Math.Min(best, Environment.TickCount64 - begun);
            other.Release();
        }
        Assert.InRange(best, 0, 500);
        AddressSpace child = space.Fork(cpu)!;
        Assert.True(space.TryWrite(At(Page.PerLarge + 1), (byte)2));
        Assert.Equal(1, Read(child, Page.PerLarge + 1));
    }

    [Fact]
    public void What_a_file_has_lost_is_neither_written_nor_read()
    {
        using FileDescriptor file = FileDescriptor.CreateMemory("file", 2 * Page.Size);
        FileWindow window = _memory.Window;
        Assert.Equal(0, window.Open(
            new HostFileMapping(file, true, "file", 1, 2), 0, 2 * Page.Size, out WindowFile? mapped));
        PhysicalAddress second = mapped!.AddressOf(Page.Size), last = mapped.AddressOf(Page.Size - 2);
        byte[] found = new byte[4];
        Assert.True(window.TryWrite(second, "abcd"u8));
        Assert.Equal(4, file.ReadAt(found, Page.Size));
        Assert.Equal("abcd"u8, found);
        Assert.Equal(0, ftruncate(file.Value, Page.Size));
        Assert.False(window.TryWrite(second, "efgh"u8));
        Assert.False(window.TryRead(second, found));
        // In the middle of a copy: what is before the end is written, and the answer is no.
        Assert.False(window.TryWrite(last, "ijkl"u8));
        Assert.Equal(2, file.ReadAt(found, Page.Size - 2));
        Assert.Equal("ij"u8, found.AsSpan(0, 2));
        window.Release(mapped);
    }

    [Fact]
    public void What_was_mapped_for_reading_is_not_written()
    {
        using FileDescriptor file = FileDescriptor.CreateMemory("file", Page.Size);
        FileWindow window = _memory.Window;
        Assert.Equal(0, window.Open(
            new HostFileMapping(file, false, "file", 1, 2), 0, Page.Size, out WindowFile? mapped));
        Assert.False(window.TryWrite(mapped!.AddressOf(0), "abcd"u8));
        window.Release(mapped);
    }
}
