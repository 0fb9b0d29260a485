namespace Sandbox.Vmm.Personality.Files;

/// <summary>What one inotify instance watches: a file or directory. Guarded by <see cref="FileWatches"/>.</summary>
/// <param name="descriptor">The number that inotify_add_watch(2) answered; never used twice in an instance.</param>
sealed class FileWatch(InotifyFile owner, int descriptor, FileIdentity file, uint mask)
{
    public InotifyFile Owner { get; } = owner;

    public int Descriptor { get; } = descriptor;

    public FileIdentity File { get; } = file;

    /// <summary>The events asked for, with IN_ONESHOT and IN_EXCL_UNLINK.</summary>
    public uint Mask { get; set; } = mask;
}
