using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;
using Model = Sandbox.Fuzz.Targets.PathModel;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// Path resolution. The input is a script, one operation a line, that builds and changes a tree in memory below a
/// root directory of its own, and resolves paths in it. Every answer is compared with the model's, and nothing may ever
/// be reached outside that root.
/// </summary>
/// <remarks>
/// Lines: <c>d PATH</c> makes a directory, <c>f PATH</c> a file, <c>l TARGET TAB PATH</c> a symbolic link,
/// <c>m OLD TAB NEW</c> renames, <c>u PATH</c> and <c>r PATH</c> remove, <c>c PATH</c> changes the working directory,
/// and <c>?XX PATH</c> resolves with the <see cref="WalkFlags"/> of the hexadecimal XX. Other lines count for nothing.
/// </remarks>
sealed class PathTarget : FuzzTarget
{
    private const int MaximumLines = 200;
    private const ulong GuestMemoryBytes = 16 << 20;

    private static readonly Credentials Superuser = Credentials.Of(0, 0);
    private static readonly Owner Nobody = new(0, 0);

    private readonly VirtualFileSystem _files;
    private readonly GuestMemory _memory;

    public PathTarget()
    {
        _memory = new GuestMemory(GuestMemoryBytes, new NoSlots());
        GuestUser user = new() { Name = "user", Uid = 1000, Gid = 1000, Home = "/home/user" };
        _files = new VirtualFileSystem(null, user, [], [], _memory, 1 << 20);
    }

    private Session? _session;

    public override string Name => "path";

    public override string Summary => "path resolution, compared with a model; never leaves the root";

    public override int MaximumLength => 8 * 1024;

    /// <summary>A path may lead through 40 links of up to 4 KiB, each of which is copied.</summary>
    public override long AllocationLimit => (long)MaximumLines * 40 * 8192;

    public override long OracleAllocation => _session?.ModelAllocation ?? 0;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        .. new[]
        {
            "\n", "\nd ", "\nf ", "\nl ", "\nm ", "\nu ", "\nr ", "\nc ", "\n?01 ", "\n?00 ", "\n?20 ", "\n?41 ", "\n?08 ",
            "\t", "/", "//", "/./", "..", "../", "/..", "/../", "../../../", ".", "a", "b", "a/b", "\na\t", "/a", "/a/b/",
            new string('n', 255), new string('n', 256), string.Concat(Enumerable.Repeat("a/", 64)),
        }.Select(Encoding.ASCII.GetBytes),
    ];

    public override bool Run(ReadOnlySpan<byte> input)
    {
        Session session = _session = new(_files, _memory);
        int lines = 0, understood = 0;
        foreach (Range range in input.Split((byte)'\n'))
        {
            if (++lines > MaximumLines)
                break;
            if (session.Execute(input[range]))
                understood++;
        }
        return understood > 0;
    }

    private sealed class Session
    {
        private readonly VirtualFileSystem _files;
        private readonly Model.Node _rootNode;
        private readonly Dentry _root;
        private readonly Dentry _top;
        private Model.Node _workNode;
        private Dentry _work;

        public Session(VirtualFileSystem files, GuestMemory memory)
        {
            _files = files;
            TemporaryFileSystem fileSystem = new(1, memory, null);
            Mount mount = new(1, fileSystem, readOnly: false, "tmpfs", new FileWatches());
            TemporaryDirectory inode = fileSystem.CreateRoot(0x1ed, Nobody);
            _top = new Dentry(null, [], inode, mount);
            mount.Root = _top;
            // What must never be reached: the directory above the root, and a sibling of the root.
            Model model = new();
            model.Top.Twin = inode;
            Caller above = new(_top, _top, Superuser, 0, null);
            Must(VirtualFileSystem.MakeDirectory(above, _top, "jail"u8, 0x1ff));
            Must(VirtualFileSystem.MakeDirectory(above, _top, "secret"u8, 0x1ff));
            Must(_top.Lookup("jail"u8, above, out Dentry? jail));
            _root = _work = jail!;
            _rootNode = _workNode = new Model.Node(Model.Kind.Directory, model.Top, "jail") { Twin = _root.Inode };
            model.Top.Children["jail"] = _rootNode;
        }

        /// <summary>Bytes: the model copies a path at each link.</summary>
        public long ModelAllocation { get; private set; }

        private Caller Caller => new(_root, _work, Superuser, 0, null);

        private static void Must(long result) => OracleException.Check(result == 0, $"setting up failed: {result}");

        /// <summary>False for a line that says nothing.</summary>
        public bool Execute(ReadOnlySpan<byte> line)
        {
            if (line.Length < 2 || line.Contains((byte)0))
                return false;
            ReadOnlySpan<byte> rest = line[2..];
            switch (line[0], line[1])
            {
                case ((byte)'d', (byte)' '):
                    Make(Model.Kind.Directory, rest, default);
                    return true;
                case ((byte)'f', (byte)' '):
                    Make(Model.Kind.File, rest, default);
                    return true;
                case ((byte)'l', (byte)' ') when rest.IndexOf((byte)'\t') is >= 0 and int tab:
                    Make(Model.Kind.Symlink, rest[(tab + 1)..], rest[..tab]);
                    return true;
                case ((byte)'m', (byte)' ') when rest.IndexOf((byte)'\t') is >= 0 and int tab:
                    Rename(rest[..tab], rest[(tab + 1)..]);
                    return true;
                case ((byte)'u', (byte)' '):
                    Remove(rest, directory: false);
                    return true;
                case ((byte)'r', (byte)' '):
                    Remove(rest, directory: true);
                    return true;
                case ((byte)'c', (byte)' '):
                    Dentry? target = Resolve(rest, WalkFlags.Follow | WalkFlags.Directory, out Model.Node? node);
                    if (target is not null)
                        (_work, _workNode) = (target, node!);
                    return true;
                case ((byte)'?', _) when line.Length > 4 && line[3] == ' ' && TryParseFlags(line[1..3], out WalkFlags flags):
                    Resolve(line[4..], flags, out _);
                    return true;
                default:
                    return false;
            }
        }

        private static bool TryParseFlags(ReadOnlySpan<byte> hex, out WalkFlags flags)
        {
            flags = default;
            if (!byte.TryParse(hex, System.Globalization.NumberStyles.AllowHexSpecifier, null, out byte value))
                return false;
            // The model knows neither magic links nor mounts; the tree under test has none.
            flags = (WalkFlags)value & ~(WalkFlags.NoMagicLinks | WalkFlags.NoCrossing);
            return true;
        }

        private Dentry? Resolve(ReadOnlySpan<byte> path, WalkFlags flags, out Model.Node? node)
        {
            string text = Encoding.Latin1.GetString(path);
            long before = GC.GetAllocatedBytesForCurrentThread();
            int expected = Model.Resolve(_rootNode, _workNode, text, (Model.Rules)flags, out node);
            ModelAllocation += GC.GetAllocatedBytesForCurrentThread() - before;
            long result = VirtualFileSystem.Resolve(Caller, _work, path, flags, out Dentry? target);
            OracleException.Check(result == expected, $"a path resolves to {Name(result)}, the model says {Name(expected)}");
            OracleException.Check((result == 0) == (target is not null), "a result without success, or success without");
            if (target is null)
                return null;
            OracleException.Check(target.Inode == node!.Twin, "a path leads to another file than the model's");
            Dentry? at = target;
            while (at is not null && at != _root)
                at = at.Parent;
            OracleException.Check(at == _root || _workNode.IsBelow(_rootNode) is false, "a path leads out of the root");
            return target;
        }

        private static string Name(long result) => result == 0 ? "success" : Sandbox.Host.Errno.Name((int)-result);

        private void Make(Model.Kind kind, ReadOnlySpan<byte> path, ReadOnlySpan<byte> target)
        {
            string text = Encoding.Latin1.GetString(path);
            Model.Node? directory;
            bool possible = Model.TryFindPlace(_rootNode, _workNode, text, out directory, out string name)
                && !directory!.Children.ContainsKey(name)
                && (kind == Model.Kind.Directory || text[^1] != '/')
                && (kind != Model.Kind.Symlink || target.Length is > 0 and < 4096)
                && IsAlive(directory);
            long result = kind switch
            {
                Model.Kind.Directory => VirtualFileSystem.MakeDirectory(Caller, _work, path, 0x1ff),
                Model.Kind.File => VirtualFileSystem.MakeNode(Caller, _work, path, S_IFREG | 0x1b6, out _),
                _ => VirtualFileSystem.MakeSymlink(Caller, target, _work, path),
            };
            OracleException.Check((result == 0) == possible, $"making a {kind}: {Name(result)}, the model says {possible}");
            if (result != 0)
                return;
            Model.Node node = new(kind, directory, name) { Target = Encoding.Latin1.GetString(target) };
            directory!.Children[name] = node;
            TemporaryDirectory inode = (TemporaryDirectory)directory.Twin!;
            Must(inode.Lookup(_root, Encoding.Latin1.GetBytes(name), Caller, out Dentry? made));
            node.Twin = made!.Inode;
        }

        /// <summary>A directory that was removed while it was the working directory takes no new names.</summary>
        private bool IsAlive(Model.Node directory) =>
            directory == _rootNode || (directory.Parent is { } parent
                && parent.Children.TryGetValue(directory.Name, out Model.Node? found) && found == directory);

        private void Remove(ReadOnlySpan<byte> path, bool directory)
        {
            string text = Encoding.Latin1.GetString(path);
            Model.Node? victim = null;
            bool possible = Model.TryFindPlace(_rootNode, _workNode, text, out Model.Node? place, out string name)
                && place!.Children.TryGetValue(name, out victim)
                && (directory
                    ? victim.Kind == Model.Kind.Directory && victim.Children.Count == 0
                    : victim.Kind != Model.Kind.Directory && text[^1] != '/');
            long result = directory
                ? VirtualFileSystem.RemoveDirectory(Caller, _work, path)
                : VirtualFileSystem.Unlink(Caller, _work, path);
            OracleException.Check((result == 0) == possible, $"removing: {Name(result)}, the model says {possible}");
            if (result == 0)
                place!.Children.Remove(name);
        }

        private void Rename(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to)
        {
            string oldText = Encoding.Latin1.GetString(from), newText = Encoding.Latin1.GetString(to);
            Model.Node? moved = null, replaced = null, oldPlace = null, newPlace = null;
            string oldName = "", newName = "";
            bool possible = Model.TryFindPlace(_rootNode, _workNode, oldText, out oldPlace, out oldName)
                && oldPlace!.Children.TryGetValue(oldName, out moved)
                && Model.TryFindPlace(_rootNode, _workNode, newText, out newPlace, out newName)
                && IsAlive(newPlace!);
            if (possible)
            {
                newPlace!.Children.TryGetValue(newName, out replaced);
                bool isDirectory = moved!.Kind == Model.Kind.Directory;
                possible = (isDirectory || (oldText[^1] != '/' && newText[^1] != '/'))
                    && !newPlace.IsBelow(moved)
                    && (replaced is null || replaced == moved || (!oldPlace!.IsBelow(replaced)
                        && (replaced.Kind == Model.Kind.Directory) == isDirectory && replaced.Children.Count == 0));
            }
            long result = VirtualFileSystem.Rename(Caller, _work, from, _work, to, 0);
            OracleException.Check((result == 0) == possible, $"renaming: {Name(result)}, the model says {possible}");
            if (result != 0 || replaced == moved)
                return;
            oldPlace!.Children.Remove(oldName);
            newPlace!.Children[newName] = moved!;
            (moved!.Parent, moved.Name) = (newPlace, newName);
        }
    }

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        yield return ("dots", "d a\nd a/b\nf a/b/f\n?01 a/./b/../b/f\n?01 /../../a\n?00 a/b/f/\n?01 ..\n"u8.ToArray());
        yield return ("links", """
            d a
            d a/b
            l ../a	a/b/up
            l /a/b	abs
            l ../../../../../secret	escape
            ?01 a/b/up/b/up/b
            ?01 abs/up
            ?00 abs
            ?00 abs/
            ?01 escape
            ?20 a/..
            ?20 a/../..
            ?41 /a
            ?08 abs
            """u8.ToArray());
        yield return ("loops", "l b\ta\nl a\tb\n?01 a\n?00 a\n?00 a/\nl c/x\tc\n?01 c\n"u8.ToArray());
        yield return ("changes", """
            d a
            d b
            f a/f
            m a/f	b/g
            ?01 b/g
            m a	b/a
            c b/a
            ?01 ../g
            m ../a	..
            d x
            r /b/a
            c /
            r b/a/x
            u b/g
            r b/a
            r b
            """u8.ToArray());
        yield return ("gone", "d a\nc a\nr ../a\n?01 .\n?01 ..\nd x\nf y\n"u8.ToArray());
    }
}
