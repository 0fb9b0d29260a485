using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Tests.Memory;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

/// <summary>
/// A host folder with a quota, and a guest that wants more: /work may grow by 16 pages, /again is the same folder with 8
/// of its own, /free has none.
/// </summary>
public sealed class HostQuotaTests : IDisposable
{
    private const int Pages = 16, AgainPages = 8, PageBytes = 4096;

    private readonly GuestTree _tree = new(
        4 << 20,
        GuestTree.Grant("work", "/work", writable: true, Pages * PageBytes),
        GuestTree.Grant("work", "/again", writable: true, AgainPages * PageBytes),
        GuestTree.Grant("free", "/free", writable: true));

    public void Dispose() => _tree.Dispose();

    private string Host(string path) => _tree.HostPath("work", path);

    private statfs Statistics(string path)
    {
        Assert.Equal(0, _tree.Find(path).Inode.FileSystem.GetStatistics(out statfs statistics));
        return statistics;
    }

    /// <summary>Pages that are charged.</summary>
    private long Used(string path = "/work") => Statistics(path).f_blocks - Statistics(path).f_bfree;

    private HostFile Open(string path, int flags = O_CREAT | O_RDWR) => (HostFile)_tree.MustOpen(path, flags);

    private static byte[] Bytes(int pages) => new byte[pages * PageBytes];

    /// <summary>512-byte blocks of the folder and all that is in it, each file once.</summary>
    private long BlocksOnHost()
    {
        Dictionary<ulong, long> files = [];
        foreach (string path in Directory.EnumerateFileSystemEntries(Host(""), "*", SearchOption.AllDirectories).Append(Host(".")))
        {
            using FileDescriptor folder = FileDescriptor.Open(Path.GetDirectoryName(path)!, O_PATH | O_DIRECTORY);
            string name = Path.GetFileName(path);
            long result = name == "."
                ? HostCalls.GetStatus(folder.Value, out statx status)
                : HostCalls.GetStatus(folder.Value, GuestTree.Bytes(name), out status);
            if (result == 0)
                files[status.stx_ino] = (long)status.stx_blocks;
        }
        return files.Values.Sum();
    }

    [Fact]
    public void WritesEndWhereTheQuotaEnds()
    {
        HostFile file = Open("/work/a");
        // One page is the name's.
        Assert.Equal((Pages - 1) * PageBytes, file.WriteAt(Bytes(Pages + 5), 0));
        Assert.Equal(-ENOSPC, file.WriteAt(new byte[1], (Pages - 1) * PageBytes));
        Assert.Equal(-ENOSPC, file.WriteAt(new byte[1], long.MaxValue / 2));
        Assert.Equal(-EFBIG, file.WriteAt(new byte[2], long.MaxValue));
        Assert.Equal(10, file.WriteAt(new byte[10], 5));
        Assert.Equal((Pages, 0), ((int)Statistics("/work").f_blocks, (int)Statistics("/work").f_bfree));
        Assert.Equal((Pages - 1) * PageBytes, new FileInfo(Host("a")).Length);
        file.Release();
        Assert.Equal(-ENOSPC, _tree.Try("/work/b", O_CREAT | O_RDWR) == 0 ? Open("/work/b").Write(new byte[1]) : -ENOSPC);
        _tree.Write("/free/a", new string('x', 4 * Pages * PageBytes));
    }

    [Fact]
    public void AppendsAndAppendingOpensAreWritesToo()
    {
        HostFile file = Open("/work/a", O_CREAT | O_WRONLY | O_APPEND);
        HostFile other = Open("/work/a", O_WRONLY | O_APPEND);
        long written = 0;
        for (long count; (count = (written % 2 == 0 ? file : other).Write(new byte[3001])) > 0; written += count)
            Assert.InRange(written, 0, Pages * PageBytes);
        Assert.Equal((Pages - 1) * PageBytes, written);
        Assert.Equal(-ENOSPC, other.WriteAt(new byte[1], 0));
        file.Release();
        other.Release();
    }

    [Fact]
    public void HolesCountAsIfTheyWereFilled()
    {
        HostFile file = Open("/work/a");
        Assert.Equal(-ENOSPC, file.Truncate(1L << 40));
        Assert.Equal(-EINVAL, file.Truncate(-1));
        Assert.Equal(0, file.Truncate(8 * PageBytes));
        Assert.Equal(9, Used());
        Assert.Equal(-ENOSPC, file.WriteAt(new byte[1], Pages * PageBytes));
        Assert.Equal(PageBytes, file.WriteAt(Bytes(1), 3 * PageBytes));
        Assert.Equal(9, Used());
        Assert.Equal(0, file.Truncate(PageBytes + 1));
        Assert.Equal(3, Used());
        file.Release();
        Assert.Equal(0, VirtualFileSystem.Truncate(_tree.Caller, _tree.Find("/work/a"), 0));
        Assert.Equal(-ENOSPC, VirtualFileSystem.Truncate(_tree.Caller, _tree.Find("/work/a"), Pages * PageBytes));
        Assert.Equal(1, Used());
    }

    [Fact]
    public void WhatIsAllocatedCountsAlsoBeyondTheEnd()
    {
        HostFile file = Open("/work/a");
        Assert.Equal(0, file.Allocate(FALLOC_FL_KEEP_SIZE, 0, 10 * PageBytes));
        Assert.Equal(11, Used());
        Assert.Equal(-ENOSPC, file.Allocate(0, 0, Pages * PageBytes));
        Assert.Equal(-ENOSPC, file.Allocate(FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, Pages * PageBytes));
        Assert.Equal(11, Used());
        Assert.Equal(-EOPNOTSUPP, file.Allocate(FALLOC_FL_INSERT_RANGE, 0, PageBytes));
        Assert.Equal(-EOPNOTSUPP, file.Allocate(FALLOC_FL_UNSHARE_RANGE, 0, PageBytes));
        Assert.Equal(-EOPNOTSUPP, file.Allocate(FALLOC_FL_COLLAPSE_RANGE, 0, PageBytes));
        Assert.Equal(5 * PageBytes, file.WriteAt(Bytes(5), 0));
        Assert.Equal(11, Used());
        Assert.Equal(0, file.Allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5 * PageBytes));
        Assert.Equal(11, Used());
        Assert.Equal(0, file.Truncate(0));
        Assert.Equal(1, Used());
        file.Release();
    }

    [Fact]
    public void WhatTheGuestTakesAwayOfItsOwnComesBack()
    {
        for (int round = 0; round < 50; round++)
        {
            _tree.Write("/work/a", new string('x', 10 * PageBytes));
            _tree.Write("/work/b", new string('x', 4 * PageBytes));
            Assert.Equal(15, Used());
            // Cut when opened, replaced, unlinked.
            _tree.Write("/work/a", "x");
            Assert.Equal(0, _tree.Rename("/work/a", "/work/b"));
            Assert.Equal(2, Used());
            Assert.Equal(0, _tree.Unlink("/work/b"));
            Assert.Equal(0, Used());
        }
    }

    [Fact]
    public void WhatWasThereBeforeIsNotTheGuests()
    {
        File.WriteAllBytes(Host("old"), Bytes(20));
        HostFile file = Open("/work/old", O_RDWR);
        Assert.Equal(20 * PageBytes, file.WriteAt(Bytes(20), 0));
        Assert.Equal(0, Used());
        Assert.Equal(2 * PageBytes, file.WriteAt(Bytes(2), 20 * PageBytes));
        Assert.Equal(2, Used());
        // Cut and written again up to where it was.
        Assert.Equal(0, file.Truncate(0));
        Assert.Equal(0, Used());
        Assert.Equal(20 * PageBytes, file.WriteAt(Bytes(20), 0));
        Assert.Equal(0, Used());
        Assert.Equal(Pages * PageBytes, file.WriteAt(Bytes(30), 20 * PageBytes));
        file.Release();
        Assert.Equal(0, _tree.Unlink("/work/old"));
        Assert.Equal(0, Used());
        // Its deletion gave the guest nothing.
        HostFile other = Open("/work/new");
        Assert.Equal((Pages - 1) * PageBytes, other.WriteAt(Bytes(30), 0));
        other.Release();
    }

    [Fact]
    public void HolesOfWhatWasThereAreChargedToWhoMayFillThem()
    {
        using (FileStream sparse = File.Create(Host("sparse")))
            sparse.SetLength(1L << 30);
        Assert.Equal(0, _tree.Try("/work/sparse", O_RDONLY));
        Assert.Equal(-ENOSPC, _tree.Try("/work/sparse", O_RDWR));
        Assert.Equal(-ENOSPC, _tree.Try("/work/sparse", O_WRONLY | O_TRUNC));
        Assert.Equal(1L << 30, new FileInfo(Host("sparse")).Length);
        using (FileStream small = File.Create(Host("small")))
            small.SetLength(8 * PageBytes);
        HostFile file = Open("/work/small", O_RDWR);
        Assert.Equal(8, Used());
        Assert.Equal(8 * PageBytes, file.WriteAt(Bytes(8), 0));
        Assert.Equal(8, Used());
        file.Release();
    }

    [Fact]
    public void WhoMayNotWriteChangesNoCharge()
    {
        File.WriteAllBytes(Host("old"), Bytes(3));
        for (int round = 0; round < 20; round++)
        {
            HostFile reader = Open("/work/old", O_RDONLY);
            Assert.InRange(reader.Truncate(5 * PageBytes), -EINVAL, -1);
            Assert.InRange(reader.Allocate(0, 0, 5 * PageBytes), -EBADF, -1);
            Assert.InRange(reader.WriteAt(Bytes(5), 0), -EBADF, -1);
            HostFile writer = Open("/work/old", O_RDWR);
            Assert.InRange(reader.Truncate(5 * PageBytes), -EINVAL, -1);
            Assert.InRange(reader.WriteAt(Bytes(5), 0), -EBADF, -1);
            Assert.Equal(0, Used());
            reader.Release();
            writer.Release();
        }
        Assert.Equal(0, _tree.Unlink("/work/old"));
        Assert.Equal(0, Used());
    }

    [Fact]
    public void WhatTheHostAddsIsNotCharged()
    {
        HostFile file = Open("/work/a");
        Assert.Equal(PageBytes, file.Write(Bytes(1)));
        using (FileStream host = File.OpenWrite(Host("a")))
        {
            host.Seek(0, SeekOrigin.End);
            host.Write(Bytes(100));
        }
        Assert.Equal(PageBytes, file.WriteAt(Bytes(1), 50 * PageBytes));
        Assert.Equal(2, Used());
        Assert.Equal(PageBytes, file.WriteAt(Bytes(1), 101 * PageBytes));
        Assert.Equal(3, Used());
        file.Release();
    }

    [Fact]
    public void WhatIsStillOpenOrMappedStillCounts()
    {
        using FileWindow window = new(new NoSlots());
        for (int round = 0; round < 300; round++)
        {
            HostFile file = Open("/work/a");
            Assert.Equal(10 * PageBytes, file.Write(Bytes(10)));
            HostFile reader = Open("/work/a", O_RDONLY);
            Assert.Equal(0, window.Open((HostFileMapping)reader.Mappable!, 0, PageBytes, out WindowFile? mapped));
            Assert.Equal(0, _tree.Unlink("/work/a"));
            Assert.Equal(10, Used());
            file.Release();
            Assert.Equal(10, Used());
            reader.Release();
            Assert.Equal(10, Used());
            mapped!.Release();
            Assert.Equal(0, Used());
        }
    }

    [Fact]
    public void UnnamedFilesCountUntilTheyAreClosed()
    {
        HostFile file = (HostFile)_tree.MustOpen("/work", O_TMPFILE | O_RDWR);
        Assert.Equal((Pages - 1) * PageBytes, file.Write(Bytes(Pages)));
        Assert.Equal(-ENOSPC, file.Allocate(FALLOC_FL_KEEP_SIZE, 0, Pages * PageBytes));
        file.Release();
        Assert.Equal(0, Used());
    }

    [Fact]
    public void AFileWithTwoNamesLivesAsLongAsEither()
    {
        _tree.Write("/work/a", new string('x', 10 * PageBytes));
        Assert.Equal(0, _tree.Link("/work/a", "/work/b"));
        Assert.Equal(0, _tree.Rename("/work/a", "/work/b"));
        Assert.Equal(0, _tree.Unlink("/work/a"));
        Assert.Equal(11, Used());
        Assert.Equal(0, _tree.Link("/work/b", "/work/c"));
        Assert.Equal(0, _tree.Unlink("/work/b"));
        Assert.Equal(11, Used());
        Assert.Equal(0, _tree.Unlink("/work/c"));
        Assert.Equal(0, Used());
        // Of a file that was there, only the new name is the guest's.
        File.WriteAllBytes(Host("old"), Bytes(20));
        Assert.Equal(0, _tree.Link("/work/old", "/work/new"));
        Assert.Equal(1, Used());
        Assert.Equal(0, _tree.Unlink("/work/old"));
        Assert.Equal(0, _tree.Unlink("/work/new"));
        Assert.Equal(0, Used());
    }

    [Fact]
    public void NamesCountWhateverTheyAreNamesOf()
    {
        _tree.Write("/work/a", "");
        int names = 1;
        while (_tree.Link("/work/a", $"/work/link{names}") == 0)
            Assert.InRange(++names, 1, 4 * Pages);
        Assert.InRange(names, 4 * Pages - 4, 4 * Pages);
        Assert.Equal(-ENOSPC, _tree.MakeDirectory("/work/d"));
        Assert.Equal(-ENOSPC, _tree.MakeSymlink("a", "/work/s"));
        Assert.Equal(-ENOSPC, _tree.Try("/work/new", O_CREAT | O_RDWR));
        Assert.Equal(-ENOSPC, _tree.Try("/work", O_TMPFILE | O_RDWR));
        Assert.Equal(names, Directory.GetFileSystemEntries(Host("")).Length);
        for (int i = 1; i < names; i++)
            Assert.Equal(0, _tree.Unlink($"/work/link{i}"));
        // Moving costs nothing.
        Assert.Equal(0, _tree.MakeDirectory("/work/d"));
        long used = Used();
        Assert.Equal(0, _tree.Rename("/work/a", "/work/d/b"));
        Assert.Equal(used, Used());
        Assert.Equal(0, _tree.MakeSymlink(new string('x', 4000), "/work/s"));
        Assert.Equal(0, _tree.Unlink("/work/d/b"));
        Assert.Equal(0, _tree.Unlink("/work/s"));
        Assert.Equal(0, _tree.RemoveDirectory("/work/d"));
        // The names were in the folder itself; what it grew by stays.
        Assert.Equal(0, Used());
    }

    [Fact]
    public void AFolderThatGrewThroughManyNamesStaysCharged()
    {
        using GuestTree tree = new(4 << 20, GuestTree.Grant("work", "/work", writable: true, 4 << 20));
        long before = PagesOfFolder(tree.HostPath("work"));
        string name = new('n', 240);
        for (int i = 0; i < 1000; i++)
            Assert.Equal(0, tree.Try($"/work/{name}{i}", O_CREAT | O_RDWR));
        for (int i = 0; i < 1000; i++)
            Assert.Equal(0, tree.Unlink($"/work/{name}{i}"));
        Assert.Equal(0, tree.Find("/work").Inode.FileSystem.GetStatistics(out statfs statistics));
        long grown = PagesOfFolder(tree.HostPath("work")) - before;
        Assert.Equal(grown, statistics.f_blocks - statistics.f_bfree);
    }

    private static long PagesOfFolder(string path)
    {
        using FileDescriptor folder = FileDescriptor.Open(path, O_PATH | O_DIRECTORY);
        Assert.Equal(0, HostCalls.GetStatus(folder.Value, out statx status));
        return (long)status.stx_blocks / 8;
    }

    /// <summary>What is filled through one and cut through the other is no new room.</summary>
    [Fact]
    public void TwoNamesOfOneFolderAreNotPlayedOffAgainstEachOther()
    {
        for (int i = 0; i < 20; i++)
        {
            Assert.InRange(_tree.Try($"/work/f{i}", O_CREAT | O_RDWR), -ENOSPC, 0);
            if (_tree.Open($"/work/f{i}", O_RDWR, out OpenFile? one) < 0)
                break;
            one!.WriteAt(Bytes(Pages), 0);
            if (_tree.Open($"/again/f{i}", O_RDWR, out OpenFile? other) == 0)
            {
                Assert.Equal(0, ((HostFile)one).Truncate(0));
                other!.WriteAt(Bytes(Pages), 0);
                other.Release();
            }
            one.Release();
        }
        Assert.InRange(BlocksOnHost() / 8, 1, Pages + AgainPages + 1);
    }

    [Fact]
    public void ManyThreadsGetNoMoreThanOne()
    {
        Thread[] threads = [.. Enumerable.Range(0, 8).Select(number => new Thread(() =>
        {
            for (int round = 0; round < 200; round++)
            {
                // One file of each thread's own, and one that all share.
                foreach (string name in (string[])[$"/work/own{number}", "/work/shared"])
                {
                    if (_tree.Open(name, O_CREAT | O_RDWR, out OpenFile? file) != 0)
                        continue;
                    file!.WriteAt(Bytes(1 + (number + round) % 4), round % 7 * PageBytes);
                    if (round % 5 == 0)
                        ((HostFile)file).Truncate(number * 1000);
                    file.Release();
                    if (round % 3 == 0)
                        _tree.Unlink(name);
                }
            }
        }))];
        foreach (Thread thread in threads)
            thread.Start();
        while (threads.Any(thread => thread.IsAlive))
            Assert.InRange(Used(), 0, Pages + 1);
        foreach (Thread thread in threads)
            thread.Join();
        Assert.InRange(BlocksOnHost() / 8, 0, Pages + 2);
        foreach (string path in Directory.GetFiles(Host("")))
            Assert.Equal(0, _tree.Unlink("/work/" + Path.GetFileName(path)));
        Assert.Equal(0, Used());
    }

    /// <summary>Whatever a guest does: what the folder holds more than before is charged, and comes back in the end.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void NothingGrowsThatIsNotCharged(int seed)
    {
        for (int i = 0; i < 4; i++)
            File.WriteAllBytes(Host($"f{i}"), Bytes(i));
        long before = BlocksOnHost();
        Random random = new(seed);
        List<HostFile> open = [];
        for (int step = 0; step < 2000; step++)
        {
            string folder = random.Next(2) == 0 ? "/work" : "/again";
            string path = $"{folder}/f{random.Next(8)}", other = $"{folder}/{(random.Next(3) == 0 ? "d/" : "")}f{random.Next(8)}";
            HostFile? file = open.Count > 0 ? open[random.Next(open.Count)] : null;
            switch (random.Next(12))
            {
                case 0 or 1:
                    int flags = random.Next(3) switch { 0 => O_RDONLY, 1 => O_RDWR, _ => O_RDWR | O_CREAT };
                    if (_tree.Open(path, flags | (random.Next(4) == 0 ? O_TRUNC : 0), out OpenFile? opened) == 0 && opened is HostFile found)
                        open.Add(found);
                    break;
                case 2 or 3 when file is { CanWrite: true }:
                    file.WriteAt(Bytes(random.Next(4)), random.Next(10 * PageBytes));
                    break;
                case 4 when file is { CanWrite: true }:
                    file.Truncate(random.Next(10 * PageBytes));
                    break;
                case 5 when file is { CanWrite: true }:
                    file.Allocate(random.Next(2) * FALLOC_FL_KEEP_SIZE, random.Next(5) * PageBytes, random.Next(1, 5 * PageBytes));
                    break;
                case 6 when file is not null:
                    open.Remove(file);
                    file.Release();
                    break;
                case 7:
                    _tree.Unlink(path);
                    break;
                case 8:
                    _tree.Link(path, other);
                    break;
                case 9:
                    _tree.Rename(path, other, random.Next(3) == 0 ? RENAME_EXCHANGE : 0u);
                    break;
                case 10:
                    _ = random.Next(2) == 0 ? _tree.MakeDirectory($"{folder}/d") : _tree.RemoveDirectory($"{folder}/d");
                    break;
                case 11:
                    _tree.MakeSymlink(new string('x', random.Next(1, 300)), other);
                    break;
            }
            // A page for each file's own map of its blocks, which nothing tells beforehand.
            long charged = 8 * (Used() + Used("/again") + 12);
            Assert.True(BlocksOnHost() - before <= charged, $"step {step}: {BlocksOnHost() - before} blocks, {charged} charged");
            Assert.InRange(Used(), 0, Pages + 4);
            Assert.InRange(Used("/again"), 0, AgainPages + 4);
        }
        foreach (HostFile file in open)
            file.Release();
        foreach (string path in Directory.GetFiles(Host(""), "*", SearchOption.AllDirectories))
            Assert.Equal(0, _tree.Unlink("/work/" + Path.GetRelativePath(Host(""), path)));
        _tree.RemoveDirectory("/work/d");
        Assert.Equal((0, 0), (Used(), Used("/again")));
    }
}
