namespace Sandbox.Vmm.Personality.Files;

/// <summary>/proc/PID/mountinfo and /proc/PID/mounts: what the reader can reach of the guest's mounts.</summary>
static class ProcMounts
{
    private static ReadOnlySpan<byte> Escaped => " \t\n#"u8;

    public static byte[] MountInfo(in Caller caller)
    {
        TextBuilder text = new();
        foreach (Mount mount in Visible(caller))
        {
            text.Add(mount.Id).Add(' ').Add(mount.Root.Parent?.Mount.Id ?? 0).Add(' ')
                .Add(Sandbox.Host.Libc.major(mount.FileSystem.Device)).Add(':')
                .Add(Sandbox.Host.Libc.minor(mount.FileSystem.Device)).Add(" / ")
                .AddMangled(mount.Root.GetPath(caller.Root), Escaped)
                .Add(mount.IsReadOnly ? " ro" : " rw").Add(Options(mount)).Add(" - ")
                .Add(mount.FileSystem.TypeName).Add(' ').Add(mount.Source).Add(mount.IsReadOnly ? " ro\n" : " rw\n");
        }
        return text.ToArray();
    }

    public static byte[] Mounts(in Caller caller)
    {
        TextBuilder text = new();
        foreach (Mount mount in Visible(caller))
        {
            text.Add(mount.Source).Add(' ').AddMangled(mount.Root.GetPath(caller.Root), Escaped).Add(' ')
                .Add(mount.FileSystem.TypeName).Add(mount.IsReadOnly ? " ro" : " rw").Add(Options(mount)).Add(" 0 0\n");
        }
        return text.ToArray();
    }

    private static string Options(Mount mount) =>
        mount.FileSystem is HostFileSystem or TemporaryFileSystem ? ",nosuid,nodev,relatime" : ",nosuid,relatime";

    private static IEnumerable<Mount> Visible(Caller caller)
    {
        if (caller.Thread is null)
            return [];
        Dentry root = caller.Root;
        return caller.Thread.Personality.Files.Mounts.Where(mount => root.IsAncestorOf(mount.Root));
    }
}
