using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Sandbox.Host;
using Sandbox.Policy.Language;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Images;

/// <summary>
/// Images of directories. An image is called by its own digest, so that equal trees have one, and what somebody changes
/// in a tree while it is packed is in no other's; a link, called by the fingerprint of a tree, leads to the image, so
/// that a tree that was not touched is not read. Who packs holds a lock, and gives the image its name when it is whole:
/// what has no such name is left of somebody who was interrupted.
/// </summary>
sealed unsafe class ImageCache(string folder)
{
    /// <summary>Bytes of all images together; those that were not used for longest go first.</summary>
    public const long MaximumBytes = 16L << 30;

    const string ImageEnd = ".squashfs", TreeEnd = ".tree", NewEnd = ".new";

    /// <summary>
    /// A change so soon before the tree was looked at may be followed by one with the same time: the clock of files
    /// ticks every few milliseconds, that of some file systems every second.
    /// </summary>
    const int SettledSeconds = 3;

    /// <summary>What makes images, for tests.</summary>
    internal string Packer { get; init; } = ImagePacker.Program;

    /// <summary>The caller's own.</summary>
    public static ImageCache Own => new(CachePlace.Of("images"));

    /// <summary>The caller's own; null where there is no place for one.</summary>
    public static ImageCache? OwnIfAny => CachePlace.Find("images") is string place ? new(place) : null;

    /// <summary>The image of a tree, made if there is none.</summary>
    /// <param name="name">What the caller calls the tree.</param>
    /// <returns>Opened for reading.</returns>
    /// <exception cref="UsageException">The tree cannot be packed, or changes meanwhile.</exception>
    /// <exception cref="HostException">The host refused.</exception>
    public FileDescriptor Open(FileDescriptor tree, string name)
    {
        CryptoLibrary.Require();
        using FileDescriptor place = CachePlace.Make(folder);
        if (place.GetStatus(out stat own) != 0)
            throw new HostException(EIO, "fstat", folder);
        long looked = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        (string fingerprint, long newest) = TreeFingerprint.Of(tree, own);
        if (TryOpen(place, fingerprint + TreeEnd) is FileDescriptor known)
            return known;
        using FileDescriptor held = CachePlace.Lock(place, folder);
        // Who had the lock may have packed this very tree.
        if (TryOpen(place, fingerprint + TreeEnd) is FileDescriptor made)
            return made;
        RemoveAllUnfinished(place);
        FileDescriptor opened = Pack(tree, place, fingerprint, own, name, out string image);
        if (newest < looked - SettledSeconds)
            Link(place, fingerprint + TreeEnd, image);
        RemoveBeyond(place, image, MaximumBytes);
        return opened;
    }

    /// <summary>
    /// Removes what somebody who was killed while packing has left; nothing while somebody packs, who does that
    /// himself.
    /// </summary>
    public void RemoveUnfinished()
    {
        // As a rule there is nothing: who only looks needs no folder that can be written to.
        if (!Directory.Exists(folder) || Unfinished.Length == 0)
            return;
        using FileDescriptor place = CachePlace.Make(folder);
        using FileDescriptor? held = CachePlace.TryLock(place, folder);
        if (held is not null)
            RemoveAllUnfinished(place);
    }

    /// <summary>Removes all images. Guests that run keep theirs until they end.</summary>
    /// <returns>Bytes that were given back, or will be.</returns>
    public long Clear()
    {
        if (!Directory.Exists(folder))
            return 0;
        using FileDescriptor place = CachePlace.Make(folder);
        using FileDescriptor held = CachePlace.Lock(place, folder);
        RemoveAllUnfinished(place);
        return RemoveBeyond(place, null, 0);
    }

    FileDescriptor Pack(
        FileDescriptor tree, FileDescriptor place, string fingerprint, in stat own, string name, out string image)
    {
        string unfinished = fingerprint + NewEnd;
        try
        {
            ImagePacker.Pack(tree, Path.Combine(folder, unfinished), name, Packer);
            using FileDescriptor packed = FileDescriptor.Open(Path.Combine(folder, unfinished), O_RDONLY | O_NOFOLLOW);
            if (TreeFingerprint.Of(tree, own).Value != fingerprint)
                throw new UsageException($"--root: {Quote.Value(name)} changed while it was packed; try again");
            using FileStream content = new(new SafeFileHandle(packed.Value, ownsHandle: false), FileAccess.Read);
            image = Convert.ToHexStringLower(SHA256.HashData(content)) + ImageEnd;
            if (TryOpen(place, image) is FileDescriptor same)
            {
                Remove(place, unfinished);
                return same;
            }

            if (fsync(packed.Value) != 0)
                throw HostException.Last("fsync", unfinished);
            Rename(place, unfinished, image);
        }
        catch
        {
            Remove(place, unfinished);
            throw;
        }

        return TryOpen(place, image) ?? throw new HostException(ENOENT, "open", image);
    }

    /// <summary>Null when it is not there. Marks it as used.</summary>
    static FileDescriptor? TryOpen(FileDescriptor place, string name)
    {
        int error = FileDescriptor.TryOpenAt(place, name, O_RDONLY, 0, out FileDescriptor? file);
        if (error is not (0 or -ENOENT))
            throw new HostException(-error, "open", name);
        // The time of access is this cache's own: nothing else depends on it, and a mount may not keep it.
        timespec* times = stackalloc timespec[2];
        times[0].tv_nsec = UTIME_NOW;
        times[1].tv_nsec = UTIME_OMIT;
        if (file is not null)
            _ = utimensat(file.Value, null, times, 0);
        return file;
    }

    static void Link(FileDescriptor place, string link, string image)
    {
        Remove(place, link);
        fixed (byte* target = Name(image), path = Name(link))
            if (symlinkat(target, place.Value, path) != 0)
                throw HostException.Last("symlink", link);
    }

    static void Rename(FileDescriptor place, string from, string to)
    {
        fixed (byte* old = Name(from), made = Name(to))
            if (renameat(place.Value, old, place.Value, made) != 0)
                throw HostException.Last("rename", to);
    }

    static void Remove(FileDescriptor place, string name)
    {
        fixed (byte* path = Name(name))
            if (unlinkat(place.Value, path, 0) != 0 && errno != ENOENT)
                throw HostException.Last("unlink", name);
    }

    string[] Unfinished => Directory.GetFileSystemEntries(folder, "*" + NewEnd);

    void RemoveAllUnfinished(FileDescriptor place)
    {
        foreach (string file in Unfinished)
            Remove(place, Path.GetFileName(file));
    }

    /// <summary>Removes images until the others fit, and links that lead to none any more.</summary>
    /// <param name="kept">The one that is used now.</param>
    /// <returns>Bytes of what was removed.</returns>
    internal long RemoveBeyond(FileDescriptor place, string? kept, long most)
    {
        FileInfo[] images =
            [.. new DirectoryInfo(folder).GetFiles("*" + ImageEnd).OrderByDescending(image => image.Name == kept)
            .ThenByDescending(image => image.LastAccessTimeUtc)];
        long sum = 0, removed = 0;
        foreach (FileInfo image in images)
        {
            sum += image.Length;
            if (sum <= most || image.Name == kept)
                continue;
            Remove(place, image.Name);
            removed += image.Length;
        }

        foreach (string link in Directory.GetFileSystemEntries(folder, "*" + TreeEnd))
            if (new FileInfo(link).LinkTarget is not string image || !File.Exists(Path.Combine(folder, image)))
                Remove(place, Path.GetFileName(link));
        return removed;
    }

    static byte[] Name(string name) => Encoding.ASCII.GetBytes(name + '\0');
}
