using System.Buffers.Binary;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// Reads a <see cref="LogRing"/> while it may be written. Any process of the user may have written the file.
/// </summary>
sealed class LogReader(FileDescriptor file) : IDisposable
{
    /// <summary>A writer that is this often faster than the reader may be none that means well.</summary>
    const int Tries = 16;

    ulong _at;
    ulong _lost;
    ulong _lostBefore;

    /// <summary>
    /// Bytes that were not kept or written over before they were read, since the last time that this was asked.
    /// </summary>
    public ulong TakeLost()
    {
        ulong lost = _lost;
        _lost = 0;
        return lost;
    }

    /// <summary>The next bytes.</summary>
    /// <returns>How many; 0 when there are none for now.</returns>
    public int Read(Span<byte> buffer)
    {
        int count = -1;
        for (int tries = 0; count < 0 && tries < Tries; tries++)
            count = TryRead(buffer);
        return Math.Max(count, 0);
    }

    /// <returns>Negative when what was read has been written over meanwhile.</returns>
    int TryRead(Span<byte> buffer)
    {
        if (!ReadHead(out ulong written, out ulong lost))
            return 0;
        _lost += lost - Math.Min(lost, _lostBefore);
        _lostBefore = lost;
        Skip(written);
        if (_at >= written)
            return 0;
        int at = (int)(_at % LogRing.Capacity);
        int length = (int)Math.Min((ulong)Math.Min(buffer.Length, LogRing.Capacity - at), written - _at);
        nint count;
        do
            count = file.ReadAt(buffer[..length], LogRing.HeadBytes + at);
        while (count == -EINTR);
        if (count <= 0)
            return 0;
        // Written over meanwhile: what was read may be of two ages.
        ulong start = _at;
        if (!ReadHead(out written, out _))
            return 0;
        Skip(written);
        if (_at != start)
            return -1;
        _at += (ulong)count;
        return (int)count;
    }

    /// <summary>To the oldest byte that is still there.</summary>
    void Skip(ulong written)
    {
        ulong oldest = written > LogRing.Capacity ? written - LogRing.Capacity : 0;
        if (_at >= oldest)
            return;
        _lost += oldest - _at;
        _at = oldest;
    }

    bool ReadHead(out ulong written, out ulong lost)
    {
        Span<byte> head = stackalloc byte[LogRing.HeadBytes];
        bool whole = file.ReadAt(head, 0) == head.Length;
        written = whole ? BinaryPrimitives.ReadUInt64LittleEndian(head) : 0;
        lost = whole ? BinaryPrimitives.ReadUInt64LittleEndian(head[sizeof(ulong)..]) : 0;
        return whole;
    }

    public void Dispose() => file.Dispose();
}
