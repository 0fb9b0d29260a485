using System.Buffers.Binary;
using Sandbox.Host;
using Sandbox.Supervisor.Audit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// The last bytes of a guest's stream, in a file that never grows beyond a bound: a head with how many bytes there ever
/// were and how many could not be kept, and room that is written over and over.
/// </summary>
sealed class LogRing : IDisposable
{
    /// <summary>Bytes that are kept of a stream.</summary>
    public const int Capacity = 1 << 20;

    internal const int HeadBytes = 2 * sizeof(ulong);

    readonly FileDescriptor _file;
    ulong _written;
    ulong _lost;

    LogRing(FileDescriptor file) => _file = file;

    /// <returns>0 or a negative error number.</returns>
    public static int TryMake(StateFolder folder, string name, out LogRing? ring)
    {
        ring = null;
        int error = folder.TryMakeFile(name, out FileDescriptor? file);
        if (error != 0)
            return error;
        var made = new LogRing(file!);
        error = made.WriteHead();
        if (error == 0)
            ring = made;
        else
            made.Dispose();
        return error;
    }

    /// <summary>Keeps bytes; what the file system has no room for is counted as lost.</summary>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int at = (int)(_written % Capacity);
            ReadOnlySpan<byte> part = bytes[..Math.Min(bytes.Length, Capacity - at)];
            if (PrivateFile.WriteAt(_file, part, HeadBytes + at) == 0)
                _written += (ulong)part.Length;
            else
                _lost += (ulong)part.Length;
            bytes = bytes[part.Length..];
        }

        WriteHead();
    }

    // Once made, the head has its place on the file system for good.
    int WriteHead()
    {
        Span<byte> head = stackalloc byte[HeadBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(head, _written);
        BinaryPrimitives.WriteUInt64LittleEndian(head[sizeof(ulong)..], _lost);
        return PrivateFile.WriteAt(_file, head, 0);
    }

    public void Dispose() => _file.Dispose();
}
