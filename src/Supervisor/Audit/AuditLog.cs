using System.Security.Cryptography;
using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Trust;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Audit;

/// <summary>
/// A log that lines are added to. Several processes may do so at once: a lock on the log's head lets in one after the
/// other, and each begins where the head says.
/// </summary>
sealed class AuditLog : IAuditLog
{
    readonly LogFile _file;
    readonly LogFile _headFile;
    readonly AuditKey _key;

    /// <param name="file">Taken over, as is the head.</param>
    public AuditLog(LogFile file, LogFile headFile, AuditKey key)
    {
        _file = file;
        _headFile = headFile;
        _key = key;
    }

    /// <summary>A log in its usual places, made at its first use, as are the folders.</summary>
    /// <exception cref="UsageException">A file is not what it should be.</exception>
    /// <exception cref="HostException">The host refused.</exception>
    public static AuditLog Open(string path)
    {
        PrivateFile.MakeFolderOf(path);
        // Who moves a folder away and puts another in its place has made the log anew, without its head's being missed.
        if (TrustedPath.FirstChangeable(Path.GetDirectoryName(Path.Combine(Environment.CurrentDirectory, path))!,
                geteuid()) is string changeable)
            throw new UsageException($"audit: {Quote.Value(path)}: others may change {Quote.Value(changeable)} on the "
                + "way to it, and put another log in its place; chmod go-w it, or keep the log elsewhere");
        AuditKey key = AuditKey.LoadOrCreate(AuditPlaces.Key);
        FileDescriptor file = PrivateFile.Open(path, O_RDWR | O_CREAT)!;
        try
        {
            string real = HostTree.PathOf(file)
                ?? throw new HostException(ENOENT, "readlink", path, "is /proc mounted?");
            if (Path.GetDirectoryName(real) == Path.GetDirectoryName(AuditPlaces.Key))
                throw new UsageException(
                    $"audit: {Quote.Value(path)} lies beside the key; keep the log in another folder");
            return Open(file, real, AuditPlaces.HeadOf(real), key);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <param name="file">Taken over.</param>
    public static AuditLog Open(FileDescriptor file, string path, string headPath, AuditKey key)
    {
        PrivateFile.MakeFolderOf(headPath);
        FileDescriptor head = PrivateFile.Open(headPath, O_RDWR | O_CREAT)!;
        return new AuditLog(new LogFile(file, path), new LogFile(head, headPath), key);
    }

    /// <summary>
    /// Adds lines and waits until they are on the disk. Repairs what an interrupted process left, and says so.
    /// </summary>
    /// <exception cref="UsageException">The log is not what its head says: somebody changed it.</exception>
    /// <exception cref="HostException">They cannot be written; then none of them is in the log.</exception>
    public void Append(IReadOnlyList<AuditEvent> events)
    {
        Lock(LOCK_EX);
        try
        {
            LogHead head = ReadHead();
            LogTail tail = Tail(head);
            if (tail.Torn > 0)
                Check(_file.Truncate(tail.Extent.Bytes), "ftruncate", _file);
            // What the head is about to know of has to be there.
            if (tail.WasInterrupted)
                Check(_file.Flush(), "fdatasync", _file);
            Write(head with { Committed = tail.Extent, Pending = null },
                tail.WasInterrupted ? [AuditEvent.Repaired(tail), .. events] : events);
        }
        finally
        {
            Lock(LOCK_UN);
        }
    }

    public void Dispose()
    {
        _file.Dispose();
        _headFile.Dispose();
    }

    LogHead ReadHead()
    {
        byte[] text = new byte[LogHead.Size];
        int length = PrivateFile.ReadAt(_headFile.Descriptor, text, 0, _headFile.Path);
        if (length > 0)
            return LogHead.Read(text.AsSpan(0, length), _key, out string problem)
                ?? throw Fault($"its head {Quote.Value(_headFile.Path)} {problem}");
        if (Size() > 0)
            throw Fault($"it has lines, but its head {Quote.Value(_headFile.Path)} is gone or was never there");
        PrivateFile.FlushFolderOf(_headFile.Path);
        PrivateFile.FlushFolderOf(_file.Path);
        string name = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        using var chain = new LogChain(_key, name);
        return new LogHead(_key.Id, name, new LogExtent(0, 0, Convert.ToHexStringLower(chain.Value)), null);
    }

    LogTail Tail(LogHead head)
    {
        long size = Size();
        if (size < head.Committed.Bytes)
            throw Fault($"it ends after {size} bytes, of {head.Committed.Bytes} that were written: it was truncated");
        if (size == head.Committed.Bytes && head.Pending is null)
            return new LogTail(head.Committed, 0, 0, 0);
        return LogTail.Examine(_file.Descriptor, _file.Path, size, head, _key, out long line)
            ?? throw Fault(LogTail.Fault(line));
    }

    void Write(LogHead head, IReadOnlyList<AuditEvent> events)
    {
        LogExtent from = head.Committed;
        using var chain = new LogChain(_key, Convert.FromHexString(from.Chain));
        var text = new MemoryStream();
        for (int i = 0; i < events.Count; i++)
            text.Write(chain.Seal(events[i].Write(from.Lines + i + 1)));
        var to =
            new LogExtent(from.Lines + events.Count, from.Bytes + text.Length, Convert.ToHexStringLower(chain.Value));
        // On the disk before the first line: of a log that goes on where its head does not expect it, nobody could say
        // that it was not changed.
        Check(WriteHead(head with { Pending = to }), "write", _headFile);
        Check(_headFile.Flush(), "fdatasync", _headFile);
        int error = _file.WriteAt(text.GetBuffer().AsSpan(0, (int)text.Length), from.Bytes);
        // Lines first: a head that knows of lines which are not there would be a truncated log.
        if (error == 0)
            error = _file.Flush();
        if (error != 0)
        {
            // What cannot be cut off is repaired by whoever writes next.
            if (_file.Truncate(from.Bytes) == 0 && _file.Flush() == 0)
                WriteHead(head);
            Check(error, "write", _file);
        }

        // They are in the log, whatever becomes of this: it already says that they may be.
        WriteHead(head with { Committed = to });
    }

    /// <returns>0 or a negative error number.</returns>
    int WriteHead(LogHead head) => _headFile.WriteAt(head.Write(_key), 0);

    static void Check(int error, string call, LogFile file)
    {
        if (error != 0)
            throw new HostException(-error, call, file.Path, error == -ENOSPC ? "free some space" : null);
    }

    long Size()
    {
        Check(_file.Descriptor.GetStatus(out stat status), "fstat", _file);
        return status.st_size;
    }

    void Lock(int operation)
    {
        while (flock(_headFile.Descriptor.Value, operation) != 0)
            if (errno != EINTR)
                throw HostException.Last("flock", _headFile.Path);
    }

    UsageException Fault(string what) => new(
        $"audit: the log {Quote.Value(_file.Path)} cannot be continued: {what}; see sandbox audit verify, keep both files, "
            + "and name a new log");
}
