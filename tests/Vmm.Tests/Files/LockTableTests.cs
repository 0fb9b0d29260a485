using Sandbox.Vmm.Personality.Files;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

public sealed class LockTableTests
{
    private static readonly FileIdentity File = new(1, 2);
    private readonly LockTable _locks = new(64);
    private readonly object _a = new();
    private readonly object _b = new();

    private long Set(object owner, bool? exclusive, long first, long last) =>
        _locks.SetRecord(File, owner, 1, exclusive, first, last);

    [Fact]
    public void ReadersShareAndWritersDoNot()
    {
        Assert.Equal(0, Set(_a, false, 0, 9));
        Assert.Equal(0, Set(_b, false, 5, 14));
        Assert.Equal(-EAGAIN, Set(_b, true, 9, 9));
        Assert.Equal(0, Set(_b, true, 10, 19));
        Assert.Equal(-EAGAIN, Set(_a, false, 19, long.MaxValue));
        Assert.Equal(0, Set(_a, false, 20, long.MaxValue));
    }

    [Fact]
    public void AHoleSplitsALock()
    {
        Assert.Equal(0, Set(_a, true, 0, 99));
        Assert.Equal(0, Set(_a, null, 40, 59));
        Assert.Equal(0, Set(_b, true, 40, 59));
        Assert.Equal(-EAGAIN, Set(_b, true, 39, 39));
        Assert.Equal(-EAGAIN, Set(_b, true, 60, 60));
        LockTable.RecordLock? conflict = _locks.FindConflict(File, _b, false, 0, 99);
        Assert.Equal((0, 39, true), (conflict!.Value.First, conflict.Value.Last, conflict.Value.Exclusive));
    }

    [Fact]
    public void AnOwnersLockChangesKindInPlace()
    {
        Assert.Equal(0, Set(_a, true, 0, 99));
        Assert.Equal(0, Set(_a, false, 20, 29));
        Assert.Equal(0, Set(_b, false, 20, 29));
        Assert.Equal(-EAGAIN, Set(_b, false, 30, 30));
    }

    [Fact]
    public void ReleaseTakesEverythingOfOneOwner()
    {
        Assert.Equal(0, Set(_a, true, 0, 9));
        Assert.Equal(0, Set(_a, true, 20, 29));
        Assert.Equal(0, _locks.SetWhole(File, _a, true));
        _locks.Release(File, _a);
        Assert.True(_locks.IsEmpty);
        Assert.Equal(0, Set(_b, true, 0, long.MaxValue));
    }

    [Fact]
    public void WholeFileLocksConvert()
    {
        Assert.Equal(0, _locks.SetWhole(File, _a, false));
        Assert.Equal(0, _locks.SetWhole(File, _b, false));
        Assert.Equal(-EAGAIN, _locks.SetWhole(File, _a, true));
        // The failed conversion gave the shared lock up.
        Assert.Equal(0, _locks.SetWhole(File, _b, true));
        Assert.Equal(-EAGAIN, _locks.SetWhole(File, _a, false));
        Assert.Equal(0, _locks.SetWhole(File, _b, null));
        Assert.Equal(0, _locks.SetWhole(File, _a, true));
        // Record locks and whole-file locks do not see each other.
        Assert.Equal(0, Set(_b, true, 0, 9));
    }

    [Fact]
    public void ACircleOfWaitersIsFound()
    {
        Assert.Equal(0, Set(_a, true, 0, 0));
        Assert.Equal(0, Set(_b, true, 1, 1));
        Assert.Equal(0, _locks.NoteWait(File, _a, true, 1, 1));
        Assert.Equal(-EDEADLK, _locks.NoteWait(File, _b, true, 0, 0));
        _locks.EndNote(_a);
        Assert.Equal(0, _locks.NoteWait(File, _b, true, 0, 0));
    }

    [Fact]
    public void TheNumberOfRecordsIsBounded()
    {
        long result = 0;
        int made = 0;
        for (; result == 0 && made < 1000; made++)
            result = Set(_a, true, made * 10, made * 10);
        Assert.Equal(-ENOLCK, result);
        Assert.InRange(made, 60, 64);
        Assert.Equal(0, Set(_a, null, 0, long.MaxValue));
        Assert.True(_locks.IsEmpty);
    }

    [Fact]
    public void NeighboursJoin()
    {
        for (int i = 0; i < 1000; i++)
            Assert.Equal(0, Set(_a, true, i, i));
        LockTable.RecordLock? conflict = _locks.FindConflict(File, _b, true, 500, 500);
        Assert.Equal((0, 999), (conflict!.Value.First, conflict.Value.Last));
    }

    [Theory]
    [InlineData(0, 10, 5, 0, 10, 14)]
    [InlineData(0, 10, 0, 0, 10, long.MaxValue)]
    [InlineData(100, -10, 5, 0, 90, 94)]
    [InlineData(100, 0, -10, 0, 90, 99)]
    [InlineData(0, -1, 1, -EINVAL, 0, 0)]
    [InlineData(0, 5, -6, -EINVAL, 0, 0)]
    [InlineData(0, long.MaxValue, 2, -EOVERFLOW, 0, 0)]
    [InlineData(1, long.MaxValue, 0, -EOVERFLOW, 0, 0)]
    [InlineData(0, long.MaxValue, 1, 0, long.MaxValue, long.MaxValue)]
    public void RangesAreThoseOfTheManual(long origin, long start, long length, long result, long first, long last)
    {
        Assert.Equal(result, InodeFile.ToRange(origin, start, length, out long gotFirst, out long gotLast));
        if (result == 0)
            Assert.Equal((first, last), (gotFirst, gotLast));
    }
}
