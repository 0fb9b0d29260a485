using System.Text;
using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

public sealed partial class LinuxPersonality
{
    /// <summary>The first process's place in the tree. 0, or what chdir(2) would answer.</summary>
    internal long EnterWorkingDirectory(string path, out FileSystemContext? context)
    {
        context = null;
        Credentials credentials = Credentials.Of(Plan.User.Uid, Plan.User.Gid);
        Caller caller = new(Files.Root, Files.Root, credentials, 0, null);
        long error = VirtualFileSystem.Resolve(caller, Files.Root, Encoding.UTF8.GetBytes(path), WalkFlags.Follow | WalkFlags.Directory,
            out Dentry? directory);
        if (error != 0)
            return error;
        error = VirtualFileSystem.CheckAccess(caller, directory!, X_OK);
        if (error == 0)
            context = Files.CreateContext(directory!);
        return error;
    }
}
