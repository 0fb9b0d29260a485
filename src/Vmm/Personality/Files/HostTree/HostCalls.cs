using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// The few host calls of the host tree. Each takes a directory descriptor and a name of one component, and none
/// follows a symbolic link. Answers are 0, a count or descriptor, or a negative errno.
/// </summary>
static unsafe class HostCalls
{
    private const uint StatusMask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;

    /// <summary>Holds a name of at most NAME_MAX bytes and its end.</summary>
    private const int NameBuffer = NAME_MAX + 1;

    public static long GetStatus(int directory, ReadOnlySpan<byte> name, out statx status)
    {
        byte* text = stackalloc byte[NameBuffer];
        if (!Terminate(name, text))
        {
            status = default;
            return -ENOENT;
        }
        fixed (statx* buffer = &status)
            return statx(directory, text, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, StatusMask, buffer) == 0 ? 0 : -errno;
    }

    public static long GetStatus(int file, out statx status)
    {
        byte empty = 0;
        fixed (statx* buffer = &status)
            return statx(file, &empty, AT_EMPTY_PATH, StatusMask, buffer) == 0 ? 0 : -errno;
    }

    /// <summary>openat2 that stays beneath the directory and follows nothing.</summary>
    /// <param name="path">One name, or several joined by slashes when reopening a known directory.</param>
    public static int Open(int directory, ReadOnlySpan<byte> path, int flags, uint mode)
    {
        Span<byte> text = stackalloc byte[path.Length + 1];
        path.CopyTo(text);
        text[^1] = 0;
        open_how how = new()
        {
            flags = (uint)(flags | O_CLOEXEC | O_NOFOLLOW),
            mode = mode,
            resolve = HostFileSystem.ResolveFlags,
        };
        fixed (byte* start = text)
        {
            int fd = openat2(directory, start, &how, (nuint)sizeof(open_how));
            if (fd >= 0)
                return fd;
        }
        int error = errno;
        return error switch
        {
            // The VMM's own table is full: for the guest the whole system's is.
            EMFILE => -ENFILE,
            // A mount, or a race with one: outside the grant.
            EXDEV => -EACCES,
            _ => -error,
        };
    }

    public static long ReadLink(int directory, ReadOnlySpan<byte> name, out byte[] target)
    {
        target = [];
        byte* text = stackalloc byte[NameBuffer];
        if (!Terminate(name, text))
            return -ENOENT;
        byte* buffer = stackalloc byte[PATH_MAX];
        nint count = readlinkat(directory, text, buffer, PATH_MAX);
        if (count < 0)
            return -errno;
        if (count >= PATH_MAX)
            return -ENAMETOOLONG;
        target = new ReadOnlySpan<byte>(buffer, (int)count).ToArray();
        return 0;
    }

    public static long MakeDirectory(int directory, ReadOnlySpan<byte> name, uint mode)
    {
        byte* text = stackalloc byte[NameBuffer];
        return !Terminate(name, text) ? -ENOENT : Answer(mkdirat(directory, text, mode));
    }

    public static long MakeSymlink(int directory, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target)
    {
        byte* text = stackalloc byte[NameBuffer];
        if (!Terminate(name, text))
            return -ENOENT;
        Span<byte> content = stackalloc byte[target.Length + 1];
        target.CopyTo(content);
        content[^1] = 0;
        fixed (byte* start = content)
            return Errands.Call(SYS_symlinkat, (nint)start, directory, (nint)text);
    }

    /// <summary>A second name. A symbolic link is linked itself, never followed.</summary>
    public static long Link(int oldDirectory, ReadOnlySpan<byte> oldName, int newDirectory, ReadOnlySpan<byte> newName)
    {
        byte* oldText = stackalloc byte[NameBuffer];
        byte* newText = stackalloc byte[NameBuffer];
        return !Terminate(oldName, oldText) || !Terminate(newName, newText)
            ? -ENOENT
            : Errands.Call(SYS_linkat, oldDirectory, (nint)oldText, newDirectory, (nint)newText, 0);
    }

    public static long Remove(int directory, ReadOnlySpan<byte> name, bool isDirectory)
    {
        byte* text = stackalloc byte[NameBuffer];
        return !Terminate(name, text) ? -ENOENT : Answer(unlinkat(directory, text, isDirectory ? AT_REMOVEDIR : 0));
    }

    public static long Rename(
        int oldDirectory, ReadOnlySpan<byte> oldName, int newDirectory, ReadOnlySpan<byte> newName, uint flags)
    {
        byte* oldText = stackalloc byte[NameBuffer];
        byte* newText = stackalloc byte[NameBuffer];
        return !Terminate(oldName, oldText) || !Terminate(newName, newText)
            ? -ENOENT
            : Answer(renameat2(oldDirectory, oldText, newDirectory, newText, flags));
    }

    public static long SetTimes(int directory, ReadOnlySpan<byte> name, timespec access, timespec modify)
    {
        byte* text = stackalloc byte[NameBuffer];
        timespec* times = stackalloc timespec[2];
        times[0] = access;
        times[1] = modify;
        return !Terminate(name, text) ? -ENOENT : Answer(utimensat(directory, text, times, AT_SYMLINK_NOFOLLOW));
    }

    public static long SetTimes(int file, timespec access, timespec modify)
    {
        timespec* times = stackalloc timespec[2];
        times[0] = access;
        times[1] = modify;
        return Answer(utimensat(file, null, times, 0));
    }

    /// <summary>fchmodat2(2), which can be told not to follow; -ENOSYS before Linux 6.6.</summary>
    public static long SetMode(int directory, ReadOnlySpan<byte> name, uint mode)
    {
        byte* text = stackalloc byte[NameBuffer];
        return !Terminate(name, text)
            ? -ENOENT
            : Errands.Call(SYS_fchmodat2, directory, (nint)text, (nint)mode, AT_SYMLINK_NOFOLLOW);
    }

    /// <summary>lseek(2): the new position.</summary>
    public static long Seek(FileDescriptor file, long offset, int whence) =>
        Errands.Call(SYS_lseek, file.Value, (nint)offset, whence);

    private static long Answer(int result) => result == 0 ? 0 : -errno;

    // Names come from the path walk: no slash, no zero, not '.' or '..'. Checked again, because the host would obey.
    private static bool Terminate(ReadOnlySpan<byte> name, byte* buffer)
    {
        if (name.IsEmpty || name.Length > NAME_MAX || name.ContainsAny((byte)'/', (byte)0)
            || name is [(byte)'.'] or [(byte)'.', (byte)'.'])
            return false;
        name.CopyTo(new Span<byte>(buffer, NameBuffer));
        buffer[name.Length] = 0;
        return true;
    }
}
