using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

/// <summary>A folder in memory with a size of its own, and a guest that wants more: /small has 8 pages, all have 64.</summary>
public sealed class FolderSizeTests : IDisposable
{
    private const int Pages = 8, AllPages = 64, PageBytes = 4096;

    private readonly GuestTree _tree = new(
        AllPages * PageBytes, _ => GuestTree.Temporary("/small", 0x3ff, Pages * PageBytes), _ => GuestTree.Temporary("/large", 0x3ff));

    public void Dispose() => _tree.Dispose();

    private statfs Statistics(string path)
    {
        Assert.Equal(0, _tree.Find(path).Inode.FileSystem.GetStatistics(out statfs statistics));
        return statistics;
    }

    private long Used => Statistics("/small").f_blocks - Statistics("/small").f_bfree;

    private TemporaryFile Make(string path) => (TemporaryFile)_tree.MustOpen(path, O_CREAT | O_RDWR);

    private static long Fill(OpenFile file, long at = 0)
    {
        byte[] page = new byte[PageBytes];
        long pages = 0;
        while (file.WriteAt(page, at + pages * PageBytes) is > 0)
            Assert.InRange(++pages, 1, AllPages);
        Assert.Equal(-ENOSPC, file.WriteAt(page, at + pages * PageBytes));
        return pages;
    }

    [Fact]
    public void ItHoldsWhatItMayAndNothingOfOthersIsTaken()
    {
        TemporaryFile file = Make("/small/a");
        Assert.Equal(Pages - 1, Fill(file));
        Assert.Equal((Pages, 0), ((int)Statistics("/small").f_blocks, (int)Statistics("/small").f_bfree));
        TemporaryFile other = Make("/large/a");
        Assert.InRange(Fill(other), AllPages - Pages - 3, AllPages - Pages);
        file.Release();
        other.Release();
    }

    [Fact]
    public void TheCommonBoundHoldsToo()
    {
        TemporaryFile other = Make("/large/a");
        Fill(other);
        Assert.Equal(0, (int)Statistics("/small").f_bfree);
        TemporaryFile file = Make("/small/a");
        Assert.Equal(-ENOSPC, file.Write(new byte[1]));
        // A page that was refused by one bound is not charged to the other.
        long used = Used;
        Assert.Equal(-ENOSPC, file.Write(new byte[1]));
        Assert.Equal(used, Used);
        file.Release();
        other.Release();
    }

    [Fact]
    public void SparseFilesCostWhatTheyHold()
    {
        TemporaryFile file = Make("/small/a");
        Assert.Equal(0, file.Truncate(1L << 40));
        Assert.Equal(Pages - 1, Fill(file, 1L << 39));
        Assert.Equal(-ENOSPC, file.Allocate(0, 0, PageBytes));
        Assert.Equal(-ENOSPC, file.Allocate(FALLOC_FL_KEEP_SIZE, 1L << 41, PageBytes));
        // Longer by a hole costs nothing, shorter gives back.
        Assert.Equal(0, file.Truncate(1L << 41));
        Assert.Equal(0, file.Truncate(1L << 39));
        Assert.Equal(Pages - 1, Fill(file, 5));
        Assert.Equal(0, file.Allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1L << 40));
        Assert.Equal(Pages - 1, Fill(file));
        file.Release();
    }

    [Fact]
    public void NamesCountWhateverTheyAreNamesOf()
    {
        _tree.Write("/small/a", "");
        int links = 0;
        while (_tree.Link("/small/a", $"/small/link{links}") == 0)
            Assert.InRange(++links, 1, 4 * Pages);
        Assert.Equal(-ENOSPC, _tree.Link("/small/a", "/small/more"));
        Assert.Equal(-ENOSPC, _tree.MakeDirectory("/small/d"));
        Assert.Equal(-ENOSPC, _tree.MakeSymlink("a", "/small/s"));
        Assert.Equal(-ENOSPC, _tree.Try("/small/new", O_CREAT | O_RDWR));
        Assert.Equal(-ENOSPC, _tree.Try("/small", O_TMPFILE | O_RDWR));
        for (int i = 0; i < links; i++)
            Assert.Equal(0, _tree.Unlink($"/small/link{i}"));
        Assert.Equal(0, _tree.Unlink("/small/a"));
        Assert.Equal(1, Used);
    }

    [Fact]
    public void NothingComesInByAnotherName()
    {
        _tree.Write("/large/a", new string('x', 20 * PageBytes));
        Assert.Equal(-EXDEV, _tree.Rename("/large/a", "/small/a"));
        Assert.Equal(-EXDEV, _tree.Link("/large/a", "/small/a"));
        Assert.Equal(0, _tree.MakeDirectory("/large/d"));
        Assert.Equal(-EXDEV, _tree.Rename("/large/d", "/small/d"));
        _tree.Write("/small/b", "b");
        Assert.Equal(-EXDEV, _tree.Rename("/large/a", "/small/b", RENAME_EXCHANGE));
        Assert.Equal(2, Used);
    }

    [Fact]
    public void WhatIsStillOpenStillCountsAndComesBackOnce()
    {
        long before = Used;
        for (int round = 0; round < 100; round++)
        {
            TemporaryFile file = Make("/small/a");
            Fill(file);
            Assert.Equal(0, _tree.Unlink("/small/a"));
            Assert.Equal(-ENOSPC, file.WriteAt(new byte[1], 1L << 30));
            Assert.Equal(0, (int)Statistics("/small").f_bfree);
            file.Release();
            Assert.Equal(before, Used);
        }

        // Replaced by a rename, cut when opened.
        _tree.Write("/small/a", new string('x', 3 * PageBytes));
        _tree.Write("/small/b", new string('x', 2 * PageBytes));
        Assert.Equal(0, _tree.Rename("/small/b", "/small/a"));
        _tree.Write("/small/a", "");
        Assert.Equal(0, _tree.Unlink("/small/a"));
        Assert.Equal(before, Used);
        TemporaryFile other = Make("/large/a");
        Assert.InRange(Fill(other), AllPages - 4, AllPages - 1);
        other.Release();
    }
}
