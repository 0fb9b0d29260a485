using System.Runtime.InteropServices;
using System.Text;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Facts;

/// <summary>
/// The host's own. Its folder is held: once the process has ended every answer is ENOENT or ESRCH, whoever gets its
/// number next.
/// </summary>
sealed unsafe class ProcessFiles : IProcessFiles, IDisposable
{
    const int FirstBuffer = 4 << 10;
    const int LongestLink = 4096;

    readonly FileDescriptor _folder;

    ProcessFiles(FileDescriptor folder) => _folder = folder;

    /// <returns>0 or a negative error number.</returns>
    public static int TryOpen(int pid, out ProcessFiles? files)
    {
        int error = FileDescriptor.TryOpen($"/proc/{pid}", O_PATH | O_DIRECTORY, 0, out FileDescriptor? folder);
        files = error == 0 ? new ProcessFiles(folder!) : null;
        return error;
    }

    public Reading<string> Read(string path)
    {
        int error = FileDescriptor.TryOpenAt(_folder, path, O_RDONLY, 0, out FileDescriptor? file);
        if (error != 0)
            return Reading<string>.Refused(-error);
        using (file)
            return Take(file!.Read).As(static bytes => Encoding.UTF8.GetString(bytes));
    }

    public Reading<string> Link(string path)
    {
        byte* target = stackalloc byte[LongestLink];
        nint length;
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
            length = readlinkat(_folder.Value, name, target, LongestLink);
        if (length < 0)
            return Reading<string>.Refused(errno);
        return length < LongestLink
            ? Reading<string>.Of(Encoding.UTF8.GetString(target, (int)length))
            : Reading<string>.Refused(EOVERFLOW);
    }

    public Reading<string[]> Names(string folder)
    {
        int error = FileDescriptor.TryOpenAt(_folder, folder, O_RDONLY | O_DIRECTORY, 0, out FileDescriptor? list);
        if (error != 0)
            return Reading<string[]>.Refused(-error);
        using (list)
            return Take(buffer => Entries(list!, buffer)).As(static bytes => NamesIn(bytes));
    }

    public Reading<uint> Owner(string path)
    {
        stat status;
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
            return fstatat(_folder.Value, name, &status, AT_SYMLINK_NOFOLLOW) == 0
                ? Reading<uint>.Of(status.st_uid)
                : Reading<uint>.Refused(errno);
    }

    delegate nint Source(Span<byte> buffer);

    /// <summary>Everything up to the end.</summary>
    static Reading<byte[]> Take(Source source)
    {
        byte[] buffer = new byte[FirstBuffer];
        int length = 0;
        while (true)
        {
            nint count = source(buffer.AsSpan(length));
            if (count == -EINTR)
                continue;
            if (count < 0)
                return Reading<byte[]>.Refused((int)-count);
            length += (int)count;
            if (count == 0)
                return Reading<byte[]>.Of(buffer[..length]);
            if (length >= IProcessFiles.MaximumBytes)
                return Reading<byte[]>.Refused(EOVERFLOW);
            // An entry of a folder needs room to be told at all.
            if (buffer.Length - length < FirstBuffer / 2)
                Array.Resize(ref buffer, buffer.Length * 2);
        }
    }

    static nint Entries(FileDescriptor folder, Span<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            nint count = getdents64(folder.Value, start, (nuint)buffer.Length);
            return count >= 0 ? count : -errno;
        }
    }

    static string[] NamesIn(ReadOnlySpan<byte> entries)
    {
        List<string> names = [];
        while (!entries.IsEmpty)
        {
            int length = MemoryMarshal.Read<linux_dirent64>(entries).d_reclen;
            ReadOnlySpan<byte> name = entries[sizeof(linux_dirent64)..length];
            name = name[..name.IndexOf((byte)0)];
            if (!name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8))
                names.Add(Encoding.UTF8.GetString(name));
            entries = entries[length..];
        }

        return [.. names];
    }

    public void Dispose() => _folder.Dispose();
}
