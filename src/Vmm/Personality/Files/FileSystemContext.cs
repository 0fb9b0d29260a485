namespace Sandbox.Vmm.Personality.Files;

/// <summary>Working directory, root directory and umask of a process (CLONE_FS shares it).</summary>
public sealed class FileSystemContext(Dentry root, Dentry workingDirectory, uint umask)
{
    private volatile Dentry _root = root;
    private volatile Dentry _workingDirectory = workingDirectory;
    private uint _umask = umask;

    public Dentry Root
    {
        get => _root;
        set => _root = value;
    }

    public Dentry WorkingDirectory
    {
        get => _workingDirectory;
        set => _workingDirectory = value;
    }

    /// <summary>Nine permission bits that new files do not get.</summary>
    public uint Umask => Volatile.Read(ref _umask);

    /// <summary>umask(2): the old mask.</summary>
    public uint ExchangeUmask(uint mask) => Interlocked.Exchange(ref _umask, mask & 0x1ff);

    /// <summary>fork without CLONE_FS.</summary>
    public FileSystemContext Copy() => new(_root, _workingDirectory, Umask);
}
