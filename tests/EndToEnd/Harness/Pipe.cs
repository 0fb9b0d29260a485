using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd.Harness;

/// <summary>A pipe with one end for a child, and a thread that feeds or drains the other.</summary>
sealed unsafe class Pipe : IDisposable
{
    int _read = -1, _write = -1;
    Thread? _pump;

    public Pipe()
    {
        int* ends = stackalloc int[2];
        if (pipe2(ends, O_CLOEXEC) != 0)
            throw new InvalidOperationException($"pipe2: error {errno}");
        (_read, _write) = (ends[0], ends[1]);
    }

    public int ReadEnd => _read;
    public int WriteEnd => _write;

    public void CloseRead() => Close(ref _read);
    public void CloseWrite() => Close(ref _write);

    /// <summary>Reads until the end, in the background, handing every block to <paramref name="take"/>.</summary>
    public void Drain(Action<ReadOnlyMemory<byte>> take)
    {
        _pump = new Thread(() =>
        {
            byte[] block = new byte[65536];
            for (int got; (got = Read(block)) > 0;)
                take(block.AsMemory(0, got));
        }) { IsBackground = true };
        _pump.Start();
    }

    /// <summary>Writes all blocks, in the background, then closes; a reader that went away ends it early.</summary>
    public void Feed(IEnumerable<ReadOnlyMemory<byte>> blocks)
    {
        _pump = new Thread(() =>
        {
            foreach (ReadOnlyMemory<byte> block in blocks)
                if (!Write(block.Span))
                    break;
            CloseWrite();
        }) { IsBackground = true };
        _pump.Start();
    }

    /// <summary>Waits for the pump, which ends when the other side has closed.</summary>
    public bool Join(TimeSpan limit) => _pump is null || _pump.Join(limit);

    public void Dispose()
    {
        if (!Join(TimeSpan.Zero))
            return; // a descendant still holds the other end; the pump's thread owns this one
        CloseRead();
        CloseWrite();
    }

    int Read(Span<byte> block)
    {
        fixed (byte* pointer = block)
            while (true)
            {
                nint got = read(_read, pointer, (nuint)block.Length);
                if (got >= 0 || errno != EINTR)
                    return (int)got;
            }
    }

    bool Write(ReadOnlySpan<byte> block)
    {
        fixed (byte* pointer = block)
            for (int done = 0; done < block.Length;)
            {
                nint written = write(_write, pointer + done, (nuint)(block.Length - done));
                if (written < 0 && errno == EINTR)
                    continue;
                if (written <= 0)
                    return false;
                done += (int)written;
            }

        return true;
    }

    static void Close(ref int descriptor)
    {
        int closing = Interlocked.Exchange(ref descriptor, -1);
        if (closing >= 0)
            close(closing);
    }
}
