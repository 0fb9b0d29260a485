using System.Text;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>/proc itself: self, thread-self and one directory for each process. The rest is pinned to it.</summary>
sealed class ProcRoot(ProcFileSystem fileSystem) : ProcDirectory(fileSystem, 1, 0x16d, null)
{
    protected override Inode? Find(ReadOnlySpan<byte> name, in Caller caller)
    {
        if (name.SequenceEqual("self"u8))
            return new ProcLink(Proc, 2, static c => c.Thread is { } t ? ProcNames.Number(t.Process.Pid) : null);
        if (name.SequenceEqual("thread-self"u8))
            return new ProcLink(Proc, 3, static c => c.Thread is { } t
                ? Encoding.ASCII.GetBytes($"{t.Process.Pid}/task/{t.Tid}")
                : null);
        if (!ProcNames.TryParseNumber(name, out int id))
            return null;
        if (Proc.Personality.FindProcess(id) is { } process)
            return new ProcTask(Proc, process, null);
        // A thread's directory is there, too, though it is not listed.
        return Proc.Personality.FindThread(id) is { } thread ? new ProcTask(Proc, thread.Process, thread, asProcess: true) : null;
    }

    protected override void List(ListedDirectoryFile.Listing entries)
    {
        entries.Add("self"u8.ToArray(), 2, S_IFLNK);
        entries.Add("thread-self"u8.ToArray(), 3, S_IFLNK);
        foreach (Process process in Proc.Personality.ListProcesses())
            entries.Add(ProcNames.Number(process.Pid), ProcFileSystem.Number(process.Pid, 0), S_IFDIR);
    }
}
