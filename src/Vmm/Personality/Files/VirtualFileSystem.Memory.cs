using System.Text;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

// memfd_create(2): files of a tmpfs that is mounted nowhere.
public sealed partial class VirtualFileSystem
{
    /// <param name="flags">MFD_ALLOW_SEALING and MFD_CLOEXEC; others have been refused.</param>
    public long CreateMemoryFile(in Caller caller, ReadOnlySpan<byte> name, uint flags, out OpenFile? file)
    {
        TemporaryRegular inode = new(_memoryFiles, S_IFREG | 0x1ff, caller.Owner);
        if ((flags & MFD_ALLOW_SEALING) != 0)
            inode.AllowSealing();
        inode.TryAddUser();
        byte[] shown = Encoding.ASCII.GetBytes("memfd:").Concat(name.ToArray()).ToArray();
        Dentry dentry = new(null, shown, inode, UnnamedFiles) { IsUnlinked = true };
        file = new TemporaryFile(dentry, inode, O_RDWR);
        return Charge(ref file);
    }
}
