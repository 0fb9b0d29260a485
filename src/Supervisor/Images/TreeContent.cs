using System.Globalization;
using System.Text;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Images;

/// <summary>
/// A digest of all that an image keeps of a tree: names, kinds, modes, owners, times of modification in seconds, device
/// numbers, targets of links, which names are one file, extended attributes, and content.
/// </summary>
sealed unsafe class TreeContent : ITreeVisitor
{
    /// <summary>Files with several names: they are remembered.</summary>
    const int MaximumLinked = 1 << 18;

    const int TargetBytes = 4096;

    readonly TreeHash _hash;
    readonly Dictionary<ulong, int> _linked = [];
    readonly byte[] _buffer = new byte[256 << 10];
    readonly byte[] _names = new byte[XATTR_LIST_MAX];

    TreeContent(TreeHash hash) => _hash = hash;

    /// <returns>In hexadecimal digits.</returns>
    /// <exception cref="UsageException">The tree cannot be read, or changes meanwhile.</exception>
    public static string Of(FileDescriptor root)
    {
        using var hash = new TreeHash();
        TreeWalk.Visit(root, new TreeContent(hash));
        return hash.End();
    }

    public void Visit(scoped in TreeEntry entry)
    {
        ref readonly statx status = ref entry.Status;
        _hash.Raw(entry.Path);
        _hash.Numbers(status.stx_mode, status.stx_uid, status.stx_gid, (ulong)status.stx_mtime.tv_sec,
            status.stx_rdev_major, status.stx_rdev_minor);
        if (!S_ISDIR(entry.Mode) && status.stx_nlink > 1 && !IsFirst(status.stx_ino))
            return;
        if (S_ISREG(entry.Mode))
            AddContent(entry);
        else if (S_ISLNK(entry.Mode))
            AddTarget(entry);
        AddAttributes(entry);
    }

    /// <summary>Every further name of a file says only which one it is.</summary>
    bool IsFirst(ulong inode)
    {
        int number = _linked.Count + 1;
        if (!_linked.TryAdd(inode, number))
            number = _linked[inode];
        else if (number > MaximumLinked)
            throw new UsageException(
                $"--root: it holds more than {MaximumLinked} files with several names; make an image of it yourself");
        else
            number = 0;
        _hash.Numbers((ulong)number);
        return number == 0;
    }

    void AddContent(in TreeEntry entry)
    {
        using FileDescriptor file = TreeWalk.Open(entry.Folder, entry.Name, 0, entry.Path[..^1]);
        if (file.GetStatus(out stat status) != 0 || status.st_ino != entry.Status.stx_ino || !S_ISREG(status.st_mode))
            throw Changed(entry);
        ulong left = entry.Status.stx_size;
        _hash.Numbers(left);
        while (true)
        {
            nint count = file.Read(_buffer);
            if (count == -EINTR)
                continue;
            if (count < 0)
                throw TreeWalk.Unreadable(entry.Path[..^1], (int)-count);
            if (count == 0 && left == 0)
                return;
            if (count == 0 || (ulong)count > left)
                throw Changed(entry);
            _hash.Raw(_buffer.AsSpan(0, (int)count));
            left -= (ulong)count;
        }
    }

    void AddTarget(in TreeEntry entry)
    {
        nint length;
        fixed (byte* name = entry.Name, target = _buffer)
            length = readlinkat(entry.Folder.Value, name, target, TargetBytes);
        if (length < 0)
            throw TreeWalk.Unreadable(entry.Path[..^1], errno);
        _hash.Bytes(_buffer.AsSpan(0, (int)length));
    }

    /// <summary>
    /// Those that an image keeps. There is no call that takes a folder and a name, so /proc leads there.
    /// </summary>
    void AddAttributes(in TreeEntry entry)
    {
        string folder = string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{entry.Folder.Value}/");
        byte[] path = [.. Encoding.ASCII.GetBytes(folder), .. entry.Name];
        ulong count = 0;
        fixed (byte* file = path, names = _names, value = _buffer)
        {
            nint length = llistxattr(file, names, (nuint)_names.Length);
            if (length < 0 && errno != EOPNOTSUPP)
                throw TreeWalk.Unreadable(entry.Path[..^1], errno);
            foreach (Range range in SortedNames(_names.AsSpan(0, (int)Math.Max(length, 0))))
            {
                fixed (byte* name = _names.AsSpan(range))
                    length = lgetxattr(file, name, value, XATTR_SIZE_MAX);
                if (length < 0)
                    throw TreeWalk.Unreadable(entry.Path[..^1], errno);
                _hash.Raw(_names.AsSpan(range));
                _hash.Bytes(_buffer.AsSpan(0, (int)length));
                count++;
            }
        }

        _hash.Numbers(count);
    }

    /// <summary>Each with the zero byte behind it. File systems list them as they like.</summary>
    List<Range> SortedNames(ReadOnlySpan<byte> list)
    {
        List<Range> found = [];
        for (int start = 0, end; start < list.Length; start = end)
        {
            int length = list[start..].IndexOf((byte)0);
            end = length < 0 ? list.Length : start + length + 1;
            ReadOnlySpan<byte> name = list[start..end];
            if (name.StartsWith("user."u8) || name.StartsWith("trusted."u8) || name.StartsWith("security."u8))
                found.Add(start..end);
        }

        found.Sort((one, other) => _names.AsSpan(one).SequenceCompareTo(_names.AsSpan(other)));
        return found;
    }

    static UsageException Changed(in TreeEntry entry) =>
        new($"--root: {entry.Quoted} in it changed while it was read; try again");
}
