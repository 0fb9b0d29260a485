using System.Text;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>A Unix socket that has a name among the host's files.</summary>
static unsafe class SocketFile
{
    /// <summary>Of <see cref="Remove"/>: whichever is there.</summary>
    public const ulong AnyInode = 0;

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
