namespace Sandbox.Vmm.Personality.Files;

/// <summary>On whose behalf a path is walked: where it starts, where it may not leave, and who asks.</summary>
/// <param name="Root">The process's root directory: '/' and the end of '..'.</param>
/// <param name="Thread">For links that depend on the process (/proc/self) and for opens that may wait.</param>
public readonly record struct Caller(
    Dentry Root, Dentry WorkingDirectory, Credentials Credentials, uint Umask, GuestThread? Thread)
{
    public static Caller Of(GuestThread thread)
    {
        FileSystemContext context = thread.Process.FileSystem;
        return new(context.Root, context.WorkingDirectory, thread.Process.Credentials, context.Umask, thread);
    }

    public Owner Owner => new(Credentials.FileSystemUid, Credentials.FileSystemGid);
}
