using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Language;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Images;

/// <summary>One entry of a tree, while it is looked at.</summary>
/// <param name="folder">The folder that holds it; of the tree's root, the root itself.</param>
/// <param name="path">From the root on, with a zero byte behind it; of the root, that byte alone.</param>
/// <param name="nameStart">Where in the path its name starts.</param>
readonly ref struct TreeEntry(FileDescriptor folder, ReadOnlySpan<byte> path, int nameStart, in statx status)
{
    public FileDescriptor Folder { get; } = folder;

    /// <summary>Ended by a zero byte.</summary>
    public ReadOnlySpan<byte> Path { get; } = path;

    /// <summary>In <see cref="Folder"/>, ended by a zero byte.</summary>
    public ReadOnlySpan<byte> Name => Path.Length == 1 ? ".\0"u8 : Path[nameStart..];

    public readonly statx Status = status;

    public uint Mode => Status.stx_mode;

    /// <summary>For a message.</summary>
    public string Quoted => TreeWalk.Quoted(Path[..^1]);
}

/// <summary>Looks at the entries of a tree.</summary>
interface ITreeVisitor
{
    /// <exception cref="UsageException">The tree cannot be packed.</exception>
    void Visit(scoped in TreeEntry entry);
}

/// <summary>
/// Goes through a tree, folders before what they hold, names in the order of their bytes. No link is followed, and each
/// folder is entered from the one above it, so that what is renamed meanwhile leads nowhere else.
/// </summary>
static unsafe class TreeWalk
{
    /// <summary>Each folder on the way down is an open descriptor.</summary>
    public const int MaximumDepth = 200;

    /// <summary>Entries: the names of a folder are held in memory.</summary>
    public const int MaximumEntries = 1 << 20;

    const int BufferBytes = 64 << 10;

    /// <exception cref="UsageException">An entry cannot be read, is a mount point, or there are too many.</exception>
    public static void Visit(FileDescriptor root, ITreeVisitor visitor)
    {
        visitor.Visit(new TreeEntry(root, [0], 0, Look(root, ".\0"u8, [])));
        int left = MaximumEntries;
        // Opened anew: it may have been read before, and goes on where it was.
        using FileDescriptor start = Open(root, ".\0"u8, O_DIRECTORY, []);
        Enter(start, [], visitor, MaximumDepth, ref left);
    }

    static void Enter(FileDescriptor folder, byte[] path, ITreeVisitor visitor, int depth, ref int left)
    {
        List<byte[]> names = Names(folder, path, ref left);
        names.Sort(static (one, other) => one.AsSpan().SequenceCompareTo(other));
        foreach (byte[] name in names)
        {
            byte[] full = path.Length == 0 ? name : [.. path, (byte)'/', .. name];
            statx status = Look(folder, name, full.AsSpan(..^1));
            visitor.Visit(new TreeEntry(folder, full, full.Length - name.Length, status));
            if (!S_ISDIR(status.stx_mode))
                continue;
            byte[] inner = full[..^1];
            if (depth == 0)
                throw new UsageException($"--root: {Quoted(inner)} in it is more than {MaximumDepth} folders deep");
            using FileDescriptor child = Open(folder, name, O_DIRECTORY, inner);
            Enter(child, inner, visitor, depth - 1, ref left);
        }
    }

    /// <summary>Opens an entry for reading, if it is no link.</summary>
    /// <param name="name">Ended by a zero byte.</param>
    /// <param name="path">For the message.</param>
    /// <exception cref="UsageException">It cannot be read.</exception>
    public static FileDescriptor Open(
        FileDescriptor folder, ReadOnlySpan<byte> name, int flags, ReadOnlySpan<byte> path)
    {
        int error = FileDescriptor.TryOpenAt(
            folder, name, flags | O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, out FileDescriptor? file);
        return error == 0 ? file! : throw Unreadable(path, -error);
    }

    public static UsageException Unreadable(ReadOnlySpan<byte> path, int error) =>
        new($"--root: {Quoted(path)} in it cannot be read: {Errno.Describe(error)}");

    public static string Quoted(ReadOnlySpan<byte> path) =>
        Quote.Value(path.IsEmpty ? "." : Encoding.UTF8.GetString(path));

    static statx Look(FileDescriptor folder, ReadOnlySpan<byte> name, ReadOnlySpan<byte> path)
    {
        statx status;
        int result;
        fixed (byte* text = name)
            result = statx(folder.Value, text, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &status);
        if (result != 0)
            throw Unreadable(path, errno);
        // The root may be one: it was named.
        if (!path.IsEmpty && (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0)
            throw new UsageException(
                $"--root: {Quoted(path)} in it is a mount point; unmount it, or name a folder without one");
        return status;
    }

    /// <returns>Each ended by a zero byte.</returns>
    static List<byte[]> Names(FileDescriptor folder, ReadOnlySpan<byte> path, ref int left)
    {
        List<byte[]> names = [];
        byte[] buffer = new byte[BufferBytes];
        fixed (byte* entries = buffer)
        {
            while (true)
            {
                nint count = getdents64(folder.Value, entries, BufferBytes);
                if (count < 0)
                    throw Unreadable(path, errno);
                if (count == 0)
                    return names;
                for (nint at = 0, length; at < count; at += length)
                {
                    length = ((linux_dirent64*)(entries + at))->d_reclen;
                    ReadOnlySpan<byte> name =
                        new(entries + at + sizeof(linux_dirent64), (int)length - sizeof(linux_dirent64));
                    name = name[..(name.IndexOf((byte)0) + 1)];
                    if (name.SequenceEqual(".\0"u8) || name.SequenceEqual("..\0"u8))
                        continue;
                    if (left-- == 0)
                        throw new UsageException(
                            $"--root: it holds more than {MaximumEntries} files; make an image of it yourself");
                    names.Add(name.ToArray());
                }
            }
        }
    }
}
