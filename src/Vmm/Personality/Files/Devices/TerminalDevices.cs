using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>/dev/tty, /dev/ptmx: nodes that the terminal subsystem opens.</summary>
sealed class TerminalNode(FileSystem fileSystem, ulong device, Func<SpecialFileOpener?> opener)
    : SyntheticInode(fileSystem, fileSystem.NextNumber(), S_IFCHR | 0x1b6)
{
    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = null;
        return caller.Thread is { } thread && opener() is { } open ? open(thread, self, flags, out file) : -ENXIO;
    }

    public override long GetStatus(Dentry self, out InodeStatus status)
    {
        long result = base.GetStatus(self, out status);
        status.SpecialDevice = device;
        return result;
    }
}

/// <summary>/dev/pts: one node for each pseudo-terminal in use (pts(4)).</summary>
sealed class PseudoTerminalDirectory(FileSystem fileSystem, VirtualFileSystem tree)
    : SyntheticInode(fileSystem, fileSystem.NextNumber(), S_IFDIR | 0x1ed)
{
    protected override uint Links => 2;

    public override long Lookup(Dentry self, ReadOnlySpan<byte> name, in Caller caller, out Dentry? child)
    {
        child = null;
        if (!ProcNames.TryParseNumber(name, out int number)
            || tree.PseudoTerminals?.TryGetStatus(number, out _, out _) is not true)
            return -ENOENT;
        child = new Dentry(self, name.ToArray(), new PseudoTerminalNode(FileSystem, tree, number), self.Mount);
        return 0;
    }

    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = new ListedDirectoryFile(self, flags, entries =>
        {
            List<int> numbers = [];
            tree.PseudoTerminals?.List(numbers);
            foreach (int number in numbers)
                entries.Add(ProcNames.Number(number), PseudoTerminalNode.NumberOf(number), S_IFCHR);
            foreach (Dentry pinned in self.Pinned?.Values ?? [])
                entries.Add(pinned.Name, pinned.Inode.Number, pinned.Inode.Type);
            return 0;
        });
        return 0;
    }
}

sealed class PseudoTerminalNode(FileSystem fileSystem, VirtualFileSystem tree, int number)
    : SyntheticInode(fileSystem, NumberOf(number), S_IFCHR | 0x190)
{
    /// <summary>UNIX98_PTY_SLAVE_MAJOR.</summary>
    private const uint SlaveMajor = 136;

    public static ulong NumberOf(int number) => (ulong)number + 3;

    public override long GetStatus(Dentry self, out InodeStatus status)
    {
        long result = base.GetStatus(self, out status);
        if (tree.PseudoTerminals?.TryGetStatus(number, out Owner owner, out uint permissions) is not true)
            return -ENOENT;
        status.Uid = owner.Uid;
        status.Gid = owner.Gid;
        status.Mode = S_IFCHR | permissions;
        status.SpecialDevice = makedev(SlaveMajor, (uint)number);
        return result;
    }

    public override long CheckAccess(Dentry self, Credentials credentials, int mask)
    {
        long result = GetStatus(self, out InodeStatus status);
        return result < 0 ? result : Permissions.Check(status, credentials, mask);
    }

    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = null;
        return caller.Thread is { } thread && tree.PseudoTerminals is { } terminals
            ? terminals.Open(thread, self, number, flags, out file)
            : -ENXIO;
    }
}
