using System.Buffers.Binary;
using Sandbox.Host;
using Sandbox.Supervisor.LifeCycle;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.LifeCycle;

public sealed class LogRingTests : IDisposable
{
    readonly ScratchPlace _place = new();
    readonly StateFolder _folder;
    readonly LogRing _ring;

    public LogRingTests()
    {
        _folder = _place.Make();
        Assert.Equal(0, LogRing.TryMake(_folder, StateFolder.OutputName, out LogRing? ring));
        _ring = ring!;
    }

    public void Dispose()
    {
        _ring.Dispose();
        _folder.Dispose();
        _place.Dispose();
    }

    string FilePath => $"{_place.Path}/{_folder.Id}/stdout";

    LogReader Reader => new(_folder.OpenFile(StateFolder.OutputName)!);

    static byte[] Bytes(int count, int from = 0) => [.. Enumerable.Range(from, count).Select(i => (byte)(i * 7 + i / 256))];

    static byte[] ReadAll(LogReader reader, int room = 4096)
    {
        List<byte> all = [];
        byte[] buffer = new byte[room];
        int count;
        while ((count = reader.Read(buffer)) > 0)
            all.AddRange(buffer.AsSpan(0, count));
        return [.. all];
    }

    [Fact]
    public void WhatIsWrittenIsReadOnce()
    {
        using LogReader reader = Reader;
        Assert.Empty(ReadAll(reader));
        _ring.Append(Bytes(10_000));
        Assert.Equal(Bytes(10_000), ReadAll(reader));
        Assert.Empty(ReadAll(reader));
        _ring.Append(Bytes(5, 10_000));
        Assert.Equal(Bytes(5, 10_000), ReadAll(reader));
        Assert.Equal(0UL, reader.TakeLost());
    }

    [Fact]
    public void OnlyTheLastBytesAreKept()
    {
        const int more = 70_000;
        byte[] all = Bytes(LogRing.Capacity + more);
        for (int at = 0; at < all.Length; at += 50_000)
            _ring.Append(all.AsSpan(at, Math.Min(50_000, all.Length - at)));
        using LogReader reader = Reader;
        Assert.Equal(all[more..], ReadAll(reader));
        Assert.Equal((ulong)more, reader.TakeLost());
        Assert.Equal(0UL, reader.TakeLost());
        Assert.Equal(LogRing.Capacity + LogRing.HeadBytes, new FileInfo(FilePath).Length);
    }

    [Fact]
    public void AFollowerThatIsTooSlowLosesAndIsTold()
    {
        using LogReader reader = Reader;
        _ring.Append(Bytes(100));
        Assert.Equal(Bytes(100), ReadAll(reader));
        byte[] all = Bytes(LogRing.Capacity + 30, 100);
        _ring.Append(all);
        Assert.Equal(all[30..], ReadAll(reader));
        Assert.Equal(30UL, reader.TakeLost());
    }

    [Theory]
    [InlineData(ulong.MaxValue, 0UL)]
    [InlineData(ulong.MaxValue, ulong.MaxValue)]
    [InlineData((ulong)LogRing.Capacity, 1UL)]
    [InlineData(1UL << 63, 1UL << 63)]
    public void AHeadThatLiesIsOnlyBelievedAsFarAsThereAreBytes(ulong written, ulong lost)
    {
        _ring.Append(Bytes(100));
        byte[] head = new byte[LogRing.HeadBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(head, written);
        BinaryPrimitives.WriteUInt64LittleEndian(head.AsSpan(8), lost);
        using (FileStream file = File.OpenWrite(FilePath))
            file.Write(head);
        using LogReader reader = Reader;
        Assert.InRange(ReadAll(reader).Length, 0, 100);
    }

    [Fact]
    public void AFileThatShrinksEndsTheReading()
    {
        _ring.Append(Bytes(1000));
        using LogReader reader = Reader;
        File.WriteAllText(FilePath, "short");
        Assert.Empty(ReadAll(reader));
    }

    [Fact]
    public void WhatThereIsNoRoomForIsCountedAndDoesNotHoldUpTheGuest()
    {
        Assert.SkipUnless(geteuid() == 0, "only root can mount a small file system");
        using var small = new SmallFileSystem("64k");
        using var place = new ScratchPlace(small.Path);
        using StateFolder folder = place.Make();
        Assert.Equal(0, LogRing.TryMake(folder, StateFolder.OutputName, out LogRing? ring));
        using (ring)
            for (int i = 0; i < 100; i++)
                ring!.Append(Bytes(4096));
        using var reader = new LogReader(folder.OpenFile(StateFolder.OutputName)!);
        int read = ReadAll(reader).Length;
        Assert.InRange(read, 4096, 64 << 10);
        Assert.Equal(100UL * 4096, (ulong)read + reader.TakeLost());
    }

    [Theory]
    [InlineData("a\tb\nc", "a\tb\nc")]
    [InlineData("\x1b[31mred\r", "\\x1b[31mred\\x0d")]
    [InlineData("\u009b\u2028\u007f\0", "\\x9b\\x2028\\x7f\\x00")]
    public void ATerminalIsToldNothingButText(string text, string shown) => Assert.Equal(shown, LogText.Printable(text));
}
