using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Audit;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Tests.Memory;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

/// <summary>A guest's file tree over a scratch directory of the host, without a guest.</summary>
sealed class GuestTree : IDisposable
{
    public const uint Uid = 1000;
    public const uint Gid = 1000;

    private readonly GuestMemory _memory;

    public GuestTree(ulong temporaryBytes = 4 << 20, params Func<GuestTree, GuestFile>[] files)
        : this(null, temporaryBytes, files)
    {
    }

    public GuestTree(PathRules? rules, ulong temporaryBytes = 4 << 20, params Func<GuestTree, GuestFile>[] files)
        : this(rules, null, temporaryBytes, files)
    {
    }

    public GuestTree(PathRules rules, DecisionRecorder recorder, params Func<GuestTree, GuestFile>[] files)
        : this(rules, recorder, 4 << 20, files)
    {
    }

    private GuestTree(
        PathRules? rules, DecisionRecorder? recorder, ulong temporaryBytes, Func<GuestTree, GuestFile>[] files)
    {
        HostRoot = Directory.CreateTempSubdirectory("sandbox-files-").FullName;
        _memory = new GuestMemory(64 << 20, new NoSlots());
        List<GuestFile> plan = [Temporary("/tmp")];
        foreach (Func<GuestTree, GuestFile> file in files)
            plan.Add(file(this));
        Tree = new VirtualFileSystem(null, User, plan, Descriptors, _memory, temporaryBytes, rules, recorder);
        Caller = new Caller(Tree.Root, Tree.Root, Credentials.Of(Uid, Gid), 0x12, null);
        Superuser = Caller with { Credentials = Credentials.Of(0, 0) };
    }

    public static GuestUser User => new() { Name = "user", Uid = Uid, Gid = Gid, Home = "/home/user" };

    public string HostRoot { get; }

    public List<FileDescriptor> Descriptors { get; } = [];

    public VirtualFileSystem Tree { get; }

    public Caller Caller { get; set; }

    public Caller Superuser { get; }

    public static GuestFile Temporary(string path, uint mode = 0, ulong bytes = 0) =>
        new() { Kind = GuestFileKind.Temporary, Path = path, Writable = true, Mode = mode, Bytes = bytes };

    public static GuestFile Text(string path, string content) =>
        new() { Kind = GuestFileKind.Text, Path = path, Content = content };

    public static GuestFile Symlink(string path, string target) =>
        new() { Kind = GuestFileKind.Symlink, Path = path, Content = target };

    public static GuestFile Folder(string path) => new() { Kind = GuestFileKind.Directory, Path = path };

    /// <summary>Grants HostRoot/name, which is made, at a guest path.</summary>
    /// <param name="quota">Bytes; 0 for none.</param>
    public static Func<GuestTree, GuestFile> Grant(string name, string guestPath, bool writable, ulong quota = 0) => tree =>
    {
        string host = Path.Combine(tree.HostRoot, name);
        Directory.CreateDirectory(host);
        tree.Descriptors.Add(FileDescriptor.Open(host, O_PATH | O_DIRECTORY));
        return new GuestFile
        {
            Kind = GuestFileKind.Host, Path = guestPath, Writable = writable, Descriptor = tree.Descriptors.Count - 1,
            Bytes = quota,
        };
    };

    public string HostPath(params string[] names) => Path.Combine([HostRoot, .. names]);

    public long Resolve(string path, WalkFlags flags = WalkFlags.Follow, Caller? caller = null) =>
        Resolve(path, out _, flags, caller);

    public long Resolve(string path, out Dentry? target, WalkFlags flags = WalkFlags.Follow, Caller? caller = null)
    {
        Caller who = caller ?? Caller;
        return VirtualFileSystem.Resolve(who, who.WorkingDirectory, Bytes(path), flags, out target);
    }

    public Dentry Find(string path, WalkFlags flags = WalkFlags.None)
    {
        Assert.Equal(0, Resolve(path, out Dentry? target, flags));
        return target!;
    }

    public InodeStatus Status(string path)
    {
        Dentry found = Find(path);
        Assert.Equal(0, found.Inode.GetStatus(found, out InodeStatus status));
        return status;
    }

    public long Open(string path, int flags, out OpenFile? file, uint mode = 0x1b6, Caller? caller = null)
    {
        Caller who = caller ?? Caller;
        return Tree.Open(who, who.WorkingDirectory, Bytes(path), flags, mode, WalkFlags.None, out file);
    }

    /// <summary>Opens and closes: only the result counts.</summary>
    public long Try(string path, int flags, Caller? caller = null)
    {
        long result = Open(path, flags, out OpenFile? file, caller: caller);
        file?.Release();
        return result;
    }

    public OpenFile MustOpen(string path, int flags, uint mode = 0x1b6)
    {
        Assert.Equal(0, Open(path, flags, out OpenFile? file, mode));
        return file!;
    }

    public void Write(string path, string content)
    {
        OpenFile file = MustOpen(path, O_CREAT | O_WRONLY | O_TRUNC);
        Assert.Equal(content.Length, file.Write(Bytes(content)));
        file.Release();
    }

    public string Read(string path)
    {
        OpenFile file = MustOpen(path, O_RDONLY);
        string content = ReadAll(file);
        file.Release();
        return content;
    }

    public static string ReadAll(OpenFile file)
    {
        byte[] buffer = new byte[65536];
        int length = 0;
        long count;
        while ((count = file.Read(buffer.AsSpan(length))) > 0)
            length += (int)count;
        Assert.Equal(0, count);
        return Encoding.UTF8.GetString(buffer, 0, length);
    }

    public long MakeDirectory(string path, uint mode = 0x1ff, Caller? caller = null)
    {
        Caller who = caller ?? Caller;
        return VirtualFileSystem.MakeDirectory(who, who.WorkingDirectory, Bytes(path), mode);
    }

    public long MakeSymlink(string target, string path) =>
        VirtualFileSystem.MakeSymlink(Caller, Bytes(target), Caller.WorkingDirectory, Bytes(path));

    public long Unlink(string path, Caller? caller = null) =>
        VirtualFileSystem.Unlink(caller ?? Caller, Caller.WorkingDirectory, Bytes(path));

    public long RemoveDirectory(string path) => VirtualFileSystem.RemoveDirectory(Caller, Caller.WorkingDirectory, Bytes(path));

    public long Rename(string from, string to, uint flags = 0, Caller? caller = null) => VirtualFileSystem.Rename(
        caller ?? Caller, Caller.WorkingDirectory, Bytes(from), Caller.WorkingDirectory, Bytes(to), flags);

    public long Link(string existing, string path)
    {
        long result = Resolve(existing, out Dentry? target, WalkFlags.None);
        return result < 0 ? result : VirtualFileSystem.Link(Caller, target!, Caller.WorkingDirectory, Bytes(path));
    }

    public List<string> List(string path, int bufferSize = 4096)
    {
        OpenFile file = MustOpen(path, O_RDONLY | O_DIRECTORY);
        List<string> names = ListRest((DirectoryFile)file, bufferSize);
        file.Release();
        return names;
    }

    public static List<string> ListRest(DirectoryFile directory, int bufferSize = 4096)
    {
        List<string> names = [];
        byte[] buffer = new byte[bufferSize];
        long count;
        while ((count = directory.ReadEntries(buffer)) > 0)
            names.AddRange(Names(buffer.AsSpan(0, (int)count)));
        Assert.Equal(0, count);
        return names;
    }

    public static List<string> Names(ReadOnlySpan<byte> records)
    {
        List<string> names = [];
        while (!records.IsEmpty)
        {
            int size = BitConverter.ToUInt16(records[16..]);
            ReadOnlySpan<byte> name = records[DirectoryFile.HeaderSize..size];
            names.Add(Encoding.UTF8.GetString(name[..name.IndexOf((byte)0)]));
            records = records[size..];
        }
        return names;
    }

    public static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    public void Dispose()
    {
        foreach (FileDescriptor descriptor in Descriptors)
            descriptor.Dispose();
        _memory.Dispose();
        // Some tests leave paths that are longer than Directory.Delete can follow.
        using System.Diagnostics.Process remove = System.Diagnostics.Process.Start("rm", ["-rf", HostRoot]);
        remove.WaitForExit();
    }
}
