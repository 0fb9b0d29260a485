using System.Diagnostics.CodeAnalysis;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// What is remembered of host trees: names (also those that do not exist) and open directories. Both are bounded;
/// the least recently used go first. Forgetting costs a host call, nothing else. Also counts the host descriptors
/// behind the guest's open files, so that some are always left for the VMM itself.
/// </summary>
/// <param name="maximumFiles">Host files and directories that guests may have open at once; then -ENFILE.</param>
public sealed class HostTreeCache(
    int maximumNames = 16384, int maximumDirectories = 256, int maximumFiles = int.MaxValue)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<NameKey, NameEntry> _names = new(KeyComparer.Instance);
    private readonly LinkedList<NameEntry> _nameOrder = new();
    private readonly LinkedList<DirectoryHandle> _directoryOrder = new();

    public int MaximumNames { get; } = maximumNames;

    public int MaximumDirectories { get; } = maximumDirectories;

    public int NameCount
    {
        get
        {
            lock (_lock)
                return _names.Count;
        }
    }

    public int DirectoryCount
    {
        get
        {
            lock (_lock)
                return _directoryOrder.Count;
        }
    }

    /// <summary>Host calls that looked a name up: what the cache is there to save.</summary>
    public long HostLookups => Volatile.Read(ref _hostLookups);

    private long _hostLookups;
    private int _files;

    /// <summary>Before opening a host file for the guest; pair with <see cref="ReleaseFile"/>.</summary>
    internal bool TryReserveFile()
    {
        if (Interlocked.Increment(ref _files) <= maximumFiles)
            return true;
        Interlocked.Decrement(ref _files);
        return false;
    }

    internal void ReleaseFile() => Interlocked.Decrement(ref _files);

    internal void CountHostLookup() => Interlocked.Increment(ref _hostLookups);

    /// <returns>True when the name is remembered; the child is null when it is known not to exist.</returns>
    internal bool TryGet(Dentry parent, ReadOnlySpan<byte> name, out Dentry? child)
    {
        lock (_lock)
        {
            if (_names.GetAlternateLookup<NameLookup>().TryGetValue(new(parent, name), out NameEntry? entry))
            {
                _nameOrder.Remove(entry.Node);
                _nameOrder.AddFirst(entry.Node);
                child = entry.Child;
                return true;
            }
        }
        child = null;
        return false;
    }

    internal void Put(Dentry parent, ReadOnlySpan<byte> name, Dentry? child)
    {
        lock (_lock)
        {
            var lookup = _names.GetAlternateLookup<NameLookup>();
            if (lookup.TryGetValue(new(parent, name), out NameEntry? entry))
            {
                entry.Child = child;
                return;
            }
            NameKey key = new(parent, child is not null && name.SequenceEqual(child.Name) ? child.Name : name.ToArray());
            entry = new NameEntry(key) { Child = child };
            _names.Add(key, entry);
            _nameOrder.AddFirst(entry.Node);
            if (_names.Count > MaximumNames)
            {
                NameEntry oldest = _nameOrder.Last!.Value;
                _nameOrder.RemoveLast();
                _names.Remove(oldest.Key);
            }
        }
    }

    internal void Forget(Dentry parent, ReadOnlySpan<byte> name)
    {
        lock (_lock)
        {
            if (_names.GetAlternateLookup<NameLookup>().Remove(new(parent, name), out _, out NameEntry? entry))
                _nameOrder.Remove(entry.Node);
        }
    }

    /// <summary>A host directory's descriptor with a reference for the caller, or null when it is not open.</summary>
    internal DirectoryHandle? TryAcquire(HostInode directory)
    {
        lock (_lock)
        {
            DirectoryHandle? handle = directory.OpenHandle;
            if (handle is null)
                return null;
            handle.References++;
            _directoryOrder.Remove(handle.Node);
            _directoryOrder.AddFirst(handle.Node);
            return handle;
        }
    }

    /// <summary>Remembers a directory just opened, with a reference for the caller.</summary>
    internal DirectoryHandle Add(HostInode directory, FileDescriptor descriptor)
    {
        DirectoryHandle? dropped = null;
        DirectoryHandle handle;
        lock (_lock)
        {
            if (directory.OpenHandle is { } raced)
            {
                raced.References++;
                descriptor.Dispose();
                return raced;
            }
            // One reference is the cache's, one the caller's.
            handle = new DirectoryHandle(directory, descriptor) { References = 2 };
            directory.OpenHandle = handle;
            _directoryOrder.AddFirst(handle.Node);
            if (_directoryOrder.Count > MaximumDirectories)
            {
                dropped = _directoryOrder.Last!.Value;
                _directoryOrder.RemoveLast();
                dropped.Directory.OpenHandle = null;
            }
        }
        if (dropped is not null)
            Release(dropped);
        return handle;
    }

    /// <summary>The directory is not (or no longer) what its name says: open it anew next time.</summary>
    internal void Drop(HostInode directory)
    {
        DirectoryHandle? handle;
        lock (_lock)
        {
            handle = directory.OpenHandle;
            if (handle is null)
                return;
            directory.OpenHandle = null;
            _directoryOrder.Remove(handle.Node);
        }
        Release(handle);
    }

    internal void Release(DirectoryHandle handle)
    {
        lock (_lock)
        {
            if (--handle.References > 0)
                return;
        }
        handle.Descriptor.Dispose();
    }

    private readonly record struct NameKey(Dentry Parent, byte[] Name);

    private readonly ref struct NameLookup(Dentry parent, ReadOnlySpan<byte> name)
    {
        public readonly Dentry Parent = parent;
        public readonly ReadOnlySpan<byte> Name = name;
    }

    private sealed class NameEntry
    {
        public NameEntry(NameKey key)
        {
            Key = key;
            Node = new(this);
        }

        public NameKey Key { get; }

        public Dentry? Child { get; set; }

        public LinkedListNode<NameEntry> Node { get; }
    }

    private sealed class KeyComparer : IEqualityComparer<NameKey>, IAlternateEqualityComparer<NameLookup, NameKey>
    {
        public static KeyComparer Instance { get; } = new();

        public bool Equals(NameKey x, NameKey y) => x.Parent == y.Parent && x.Name.AsSpan().SequenceEqual(y.Name);

        public int GetHashCode([DisallowNull] NameKey key) => Hash(key.Parent, key.Name);

        public bool Equals(NameLookup alternate, NameKey other) =>
            alternate.Parent == other.Parent && alternate.Name.SequenceEqual(other.Name);

        public int GetHashCode(NameLookup alternate) => Hash(alternate.Parent, alternate.Name);

        public NameKey Create(NameLookup alternate) => new(alternate.Parent, alternate.Name.ToArray());

        private static int Hash(Dentry parent, ReadOnlySpan<byte> name) =>
            HashCode.Combine(NameComparer.Hash(name), System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(parent));
    }
}

/// <summary>An open O_PATH descriptor of a host directory. Counted; guarded by the cache's lock.</summary>
sealed class DirectoryHandle
{
    public DirectoryHandle(HostInode directory, FileDescriptor descriptor)
    {
        Directory = directory;
        Descriptor = descriptor;
        Node = new(this);
    }

    public HostInode Directory { get; }

    public FileDescriptor Descriptor { get; }

    public int References { get; set; }

    public LinkedListNode<DirectoryHandle> Node { get; }
}
