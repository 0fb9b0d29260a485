using System.Buffers;
using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>What waits in a socket's queue: bytes, who sent them, and the descriptors that travel with them.</summary>
sealed class SocketMessage
{
    private const int Granularity = 4096;

    /// <summary>What a message is charged beyond its buffer.</summary>
    private const int Overhead = 256;

    private byte[] _buffer;
    private int _start;
    private int _end;

    private SocketMessage(byte[] buffer, int cost, in ucred sender)
    {
        _buffer = buffer;
        Cost = cost;
        Sender = sender;
    }

    /// <summary>A message with room for that many bytes; null when the sandbox's budget has none.</summary>
    public static SocketMessage? TryCreate(
        KernelMemory memory, int length, in ucred sender, SocketAddress? from = null)
    {
        int size = (Math.Max(length, 1) + Granularity - 1) / Granularity * Granularity;
        if (!memory.TryReserve(size + Overhead))
            return null;
        return new SocketMessage(ArrayPool<byte>.Shared.Rent(size), size + Overhead, sender)
        {
            From = from ?? SocketAddress.Unnamed,
        };
    }

    public SocketMessage? Next { get; set; }

    /// <summary>Bytes charged to the sandbox's budget.</summary>
    public int Cost { get; }

    public ucred Sender { get; }

    /// <summary>The sender's address, for datagrams.</summary>
    public SocketAddress From { get; init; } = SocketAddress.Unnamed;

    /// <summary>SCM_RIGHTS: open files with a reference each; taken by the first read that reaches them.</summary>
    public PassedFiles? Files { get; set; }

    public ReadOnlySpan<byte> Data => _buffer.AsSpan(_start, _end - _start);

    public int Length => _end - _start;

    /// <summary>Appends what fits.</summary>
    public int Append(ReadOnlySpan<byte> bytes)
    {
        int count = Math.Min(bytes.Length, Cost - Overhead - _end);
        bytes[..count].CopyTo(_buffer.AsSpan(_end));
        _end += count;
        return count;
    }

    public void Consume(int count) => _start += count;

    /// <summary>Gives buffer and budget back. Descriptors still in it are the caller's to release.</summary>
    public void Free(KernelMemory memory)
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
        _start = _end = 0;
        memory.Release(Cost);
    }
}

/// <summary>Open files on their way through a socket (SCM_RIGHTS).</summary>
/// <param name="files">Each with a reference that this object owns.</param>
public sealed class PassedFiles(OpenFile[] files, FilesInFlight inFlight)
{
    /// <summary>SCM_MAX_FD.</summary>
    public const int Maximum = 253;

    public ReadOnlySpan<OpenFile> Files => files;

    /// <summary>For MSG_PEEK: the same files once more. Null when too many are in flight.</summary>
    public PassedFiles? Duplicate()
    {
        if (!inFlight.TryAdd(files.Length))
            return null;
        OpenFile[] copy = new OpenFile[files.Length];
        for (int i = 0; i < files.Length; i++)
        {
            // The message holds a reference, so this one cannot fail.
            files[i].TryAcquire();
            copy[i] = files[i];
        }
        return new PassedFiles(copy, inFlight);
    }

    /// <summary>The files have arrived: their references are the caller's now.</summary>
    public void Detach()
    {
        inFlight.Remove(files.Length);
        files = [];
    }

    /// <summary>Nobody received them.</summary>
    public void Release()
    {
        inFlight.Remove(files.Length);
        OpenFile[] released = files;
        files = [];
        DeferredRelease.Release(released);
    }
}

/// <summary>
/// How many open files are inside sockets. A socket that is sent through itself is never closed again, so the bound
/// is what keeps such cycles from growing.
/// </summary>
public sealed class FilesInFlight(int limit)
{
    private int _count;

    public int Count => Volatile.Read(ref _count);

    public bool TryAdd(int count)
    {
        if (Interlocked.Add(ref _count, count) <= limit)
            return true;
        Interlocked.Add(ref _count, -count);
        return false;
    }

    public void Remove(int count) => Interlocked.Add(ref _count, -count);
}
