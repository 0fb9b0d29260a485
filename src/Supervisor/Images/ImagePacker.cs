using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Language;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Images;

/// <summary>
/// Makes a squashfs of a tree with mksquashfs, which makes the same image of the same tree, keeps owners, devices and
/// attributes, and follows no link. Nothing is compressed: that takes longer than writing, and every kernel reads it.
/// </summary>
static unsafe class ImagePacker
{
    public const string Program = "/usr/bin/mksquashfs";

    static readonly string[] s_flags =
    [
        "-noappend", "-quiet", "-no-progress", "-exit-on-error", "-mkfs-time", "0",
        "-comp", "gzip", "-noInodeCompression", "-noDataCompression", "-noFragmentCompression", "-noXattrCompression",
    ];

    /// <summary>Bytes of what the program says that are looked at.</summary>
    const int SaidBytes = 4096;

    /// <param name="image">Of the new file. After a failure something may be there.</param>
    /// <param name="name">What the caller calls the tree.</param>
    /// <exception cref="UsageException">The program is not there, or it failed.</exception>
    /// <exception cref="HostException">It could not be started.</exception>
    public static void Pack(FileDescriptor tree, string image, string name, string program = Program)
    {
        if (!File.Exists(program))
            throw new UsageException(
                $"--root: a directory is packed by {program}, which is not there; install the package squashfs-tools");
        using FileDescriptor said = FileDescriptor.CreateMemory("mksquashfs", 0);
        using FileDescriptor nothing = FileDescriptor.Open("/dev/null", O_RDWR);
        using var script = new ChildScript();
        script.AddEndWithParent();
        script.Add("fchdir", SYS_fchdir, tree.Value);
        script.Add("dup3", SYS_dup3, nothing.Value, STDIN_FILENO);
        script.Add("dup3", SYS_dup3, nothing.Value, STDOUT_FILENO);
        script.Add("dup3", SYS_dup3, said.Value, STDERR_FILENO);
        nint file = script.PlaceText(program);
        string[] words = [program, ".", image, .. s_flags];
        script.Add("execve", SYS_execve, file, script.PlaceList(Array.ConvertAll(words, script.PlaceText)),
            script.PlaceList());
        int error = script.Start(0, -1, out int pid, out FileDescriptor? pidfd);
        if (error != 0)
            throw new HostException(-error, "clone3", program);
        pidfd!.Dispose();
        script.WaitUntilGone();
        int? status = HostProcess.Reap(pid);
        if (script.Failure is (string step, int errno))
            throw new HostException(errno, step, program);
        if (status != 0)
            throw new UsageException($"--root: packing {Quote.Value(name)} failed: {Quote.Printable(LastLine(said))}");
    }

    static string LastLine(FileDescriptor said)
    {
        byte[] text = new byte[SaidBytes];
        long end = said.Seek(0, SEEK_END);
        nint count = said.ReadAt(text, Math.Max(end - SaidBytes, 0));
        string[] lines = Encoding.UTF8.GetString(text, 0, (int)Math.Max(count, 0))
            .Split('\n', StringSplitOptions.RemoveEmptyEntries);
        return lines.Length == 0 ? "mksquashfs did not say why" : lines[^1];
    }
}
