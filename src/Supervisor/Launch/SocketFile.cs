using System.Text;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>A Unix socket that has a name among the host's files.</summary>
static unsafe class SocketFile
{
    /// <summary>Of <see cref="Remove"/>: whichever is there.</summary>
    public const ulong AnyInode = 0;

    /// <summary>
    /// What makes, takes away or looks at sockets of a folder is alone there for so many milliseconds at most: whoever may
    /// read the folder can hold its lock.
    /// </summary>
    const int LockMilliseconds = 100;

    /// <summary>Puts a socket at a path, where nothing is but a socket at which nobody listens any more, and listens.</summary>
    /// <param name="address">The path's.</param>
    /// <param name="inode">Of the socket at the path.</param>
    /// <returns>0 or a negative error number.</returns>
    public static int Listen(FileDescriptor socket, in sockaddr_un address, string path, int backlog, out ulong inode)
    {
        inode = 0;
        // One that is bound and does not listen yet is like one that nobody listens at any more.
        using FileDescriptor? hold = Lock(path);
        sockaddr_un place = address;
        int error = Bind(socket, place);
        if (error == -EADDRINUSE && RemoveAlone(path, AnyInode, abandonedOnly: true) == 0)
            error = Bind(socket, place);
        if (error == 0)
            error = Inode(path, out inode);
        return error == 0 && listen(socket.Value, backlog) != 0 ? -errno : error;
    }

    static int Bind(FileDescriptor socket, sockaddr_un address) =>
        bind(socket.Value, &address, (uint)sizeof(sockaddr_un)) == 0 ? 0 : -errno;

    /// <summary>Null, or without the lock, where it cannot be had.</summary>
    static FileDescriptor? Lock(string path)
    {
        if (Path.GetDirectoryName(path) is not string name
            || FileDescriptor.TryOpen(name, O_RDONLY | O_DIRECTORY, 0, out FileDescriptor? folder) != 0)
            return null;
        for (int waited = 0; flock(folder!.Value, LOCK_EX | LOCK_NB) != 0 && waited < LockMilliseconds; waited++)
            Thread.Sleep(1);
        return folder;
    }

    /// <returns>0 or a negative error number.</returns>
    public static int Inode(string path, out ulong inode)
    {
        inode = 0;
        int error = FileDescriptor.TryOpen(path, O_PATH | O_NOFOLLOW, 0, out FileDescriptor? file);
        if (error != 0)
            return error;
        using (file)
        {
            error = file!.GetStatus(out stat status);
            inode = status.st_ino;
            return error;
        }
    }

    /// <summary>
    /// Takes its name away, if that leads to a socket of this inode. The folder is looked up once: what it is called
    /// meanwhile changes nothing.
    /// </summary>
    /// <param name="abandonedOnly">Only if nobody listens at it any more: whoever did was killed.</param>
    /// <returns>0, also when something else is there, or a negative error number.</returns>
    public static int Remove(string path, ulong inode, bool abandonedOnly)
    {
        using FileDescriptor? hold = Lock(path);
        return RemoveAlone(path, inode, abandonedOnly);
    }

    static int RemoveAlone(string path, ulong inode, bool abandonedOnly)
    {
        string name = Path.GetFileName(path);
        if (name.Length == 0 || FileDescriptor.TryOpen(
            Path.GetDirectoryName(path)!, O_PATH | O_DIRECTORY, 0, out FileDescriptor? folder) != 0)
            return 0;
        using (folder)
        {
            if (FileDescriptor.TryOpenAt(folder!, name, O_PATH | O_NOFOLLOW, 0, out FileDescriptor? file) != 0)
                return 0;
            using (file)
                if (file!.GetStatus(out stat status) != 0 || !S_ISSOCK(status.st_mode)
                    || (inode != AnyInode && status.st_ino != inode) || (abandonedOnly && !IsAbandoned(file)))
                    return 0;
            fixed (byte* last = Encoding.UTF8.GetBytes(name + '\0'))
                return unlinkat(folder!.Value, last, 0) == 0 || errno == ENOENT ? 0 : -errno;
        }
    }

    static bool IsAbandoned(FileDescriptor place)
    {
        int error = Connect(place, out FileDescriptor? connected);
        connected?.Dispose();
        return error == ECONNREFUSED;
    }

    /// <summary>Connects to the socket that a descriptor stands for, without waiting.</summary>
    /// <returns>0 or an error number.</returns>
    public static int Connect(FileDescriptor place, out FileDescriptor? connected)
    {
        connected = null;
        sockaddr_un address = new() { sun_family = AF_UNIX };
        Encoding.ASCII.GetBytes(
            $"/proc/self/fd/{place.Value}", new Span<byte>(address.sun_path, sizeof(sockaddr_un) - sizeof(ushort)));
        int number = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (number < 0)
            return errno;
        FileDescriptor file = new(number);
        if (connect(number, &address, (uint)sizeof(sockaddr_un)) == 0)
        {
            connected = file;
            return 0;
        }
        int error = errno;
        file.Dispose();
        return error;
    }
}
