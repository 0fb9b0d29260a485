using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// The guest's tree a second time: nodes with children, and path resolution as path_resolution(7) tells it, by plain
/// recursion. Shares no code with the resolver under test.
/// </summary>
sealed class PathModel
{
    private const int MaximumLinks = 40;
    private const int MaximumName = 255;
    private const int MaximumPath = 4096;

    public enum Kind
    {
        Directory,
        File,
        Symlink,
    }

    public sealed class Node(Kind kind, Node? parent, string name)
    {
        public Kind Kind { get; } = kind;
        public Node? Parent { get; set; } = parent;
        public string Name { get; set; } = name;
        public string Target { get; init; } = "";
        public Dictionary<string, Node> Children { get; } = [];
        /// <summary>What stands for this node in the tree under test.</summary>
        public object? Twin { get; set; }

        public bool IsBelow(Node other)
        {
            for (Node? at = this; at is not null; at = at.Parent)
                if (at == other)
                    return true;
            return false;
        }
    }

    [Flags]
    public enum Rules
    {
        None = 0,
        Follow = 1,
        Directory = 2,
        AllowEmpty = 4,
        NoSymlinks = 8,
        Beneath = 32,
        InRoot = 64,
    }

    private readonly record struct Walk(Node Root, Node Start, Rules Rules);

    public Node Top { get; } = new(Kind.Directory, null, "");

    /// <returns>0 with the node, or a negative errno.</returns>
    public static int Resolve(Node root, Node start, string path, Rules rules, out Node? node)
    {
        node = null;
        if (path.Length == 0)
        {
            if ((rules & Rules.AllowEmpty) == 0)
                return -ENOENT;
            node = start;
            return (rules & Rules.Directory) != 0 && start.Kind != Kind.Directory ? -ENOTDIR : 0;
        }
        Walk walk = new((rules & Rules.InRoot) != 0 ? start : root, start, rules);
        int links = 0;
        bool follow = (rules & Rules.Follow) != 0;
        int error = Go(walk, start, path, follow, ref links, out node);
        if (error == 0 && (rules & Rules.Directory) != 0 && node!.Kind != Kind.Directory)
            error = -ENOTDIR;
        if (error != 0)
            node = null;
        return error;
    }

    private static int Go(Walk walk, Node from, string path, bool follow, ref int links, out Node? at)
    {
        at = from;
        if (path.Length >= MaximumPath)
            return -ENAMETOOLONG;
        if (path[0] == '/')
        {
            if ((walk.Rules & Rules.Beneath) != 0)
                return -EXDEV;
            at = walk.Root;
        }
        string[] parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        bool mustBeDirectory = path[^1] == '/';
        for (int i = 0; i < parts.Length; i++)
        {
            bool last = i == parts.Length - 1;
            string part = parts[i];
            if (at!.Kind != Kind.Directory)
                return -ENOTDIR;
            if (part == ".")
                continue;
            if (part == "..")
            {
                if (at == walk.Start && (walk.Rules & Rules.Beneath) != 0)
                    return -EXDEV;
                if (at != walk.Root && at.Parent is not null)
                    at = at.Parent;
                continue;
            }
            if (part.Length > MaximumName)
                return -ENAMETOOLONG;
            if (!at.Children.TryGetValue(part, out Node? child))
                return -ENOENT;
            if (child.Kind == Kind.Symlink && (!last || mustBeDirectory || follow))
            {
                if ((walk.Rules & Rules.NoSymlinks) != 0 || ++links > MaximumLinks)
                    return -ELOOP;
                int error = Go(walk, at, child.Target, follow: true, ref links, out at);
                if (error != 0)
                    return error;
            }
            else
            {
                at = child;
            }
        }
        return mustBeDirectory && at!.Kind != Kind.Directory ? -ENOTDIR : 0;
    }

    /// <summary>
    /// The directory in which a path's last name would be made, changed or removed. False when the path does not end
    /// in a name, or its directory cannot be reached.
    /// </summary>
    public static bool TryFindPlace(Node root, Node start, string path, out Node? directory, out string name)
    {
        directory = null;
        name = "";
        if (path.Length is 0 or >= MaximumPath)
            return false;
        string trimmed = path.TrimEnd('/');
        if (trimmed.Length == 0)
            return false;
        int slash = trimmed.LastIndexOf('/');
        name = trimmed[(slash + 1)..];
        if (name is "." or ".." || name.Length > MaximumName)
            return false;
        string before = trimmed[..(slash + 1)];
        if (before.Length == 0)
            directory = start;
        else if (Resolve(root, start, before, Rules.Directory | Rules.Follow, out directory) != 0)
            return false;
        return directory!.Kind == Kind.Directory;
    }
}
