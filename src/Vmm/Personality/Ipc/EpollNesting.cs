namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// Which epoll instance watches which: a graph without cycles and without long chains, or notifications would run
/// in circles and polling recurse without end.
/// </summary>
public sealed class EpollNesting
{
    /// <summary>EP_MAX_NESTS: epoll instances above and below each other.</summary>
    private const int MaximumDepth = 4;

    private readonly Lock _edgesLock = new();
    private readonly Dictionary<EpollFile, List<EpollFile>> _inner = [];
    private readonly Dictionary<EpollFile, List<EpollFile>> _outer = [];

    /// <summary>Held from the check to the addition.</summary>
    public Lock Lock { get; } = new();

    public bool MayContain(EpollFile outer, EpollFile inner)
    {
        if (outer == inner)
            return false;
        lock (_edgesLock)
        {
            int below = Depth(_inner, inner, avoid: outer);
            int above = Depth(_outer, outer, avoid: inner);
            return below >= 0 && above >= 0 && below + above + 1 <= MaximumDepth;
        }
    }

    public void Add(EpollFile outer, EpollFile inner)
    {
        lock (_edgesLock)
        {
            Link(_inner, outer, inner);
            Link(_outer, inner, outer);
        }
    }

    public void Remove(EpollFile outer, EpollFile inner)
    {
        lock (_edgesLock)
        {
            Unlink(_inner, outer, inner);
            Unlink(_outer, inner, outer);
        }
    }

    /// <summary>Longest chain from here, level by level; -1 when it meets <paramref name="avoid"/>.</summary>
    private static int Depth(Dictionary<EpollFile, List<EpollFile>> edges, EpollFile start, EpollFile avoid)
    {
        HashSet<EpollFile> level = [start];
        for (int depth = 0; ; depth++)
        {
            HashSet<EpollFile> next = [];
            foreach (EpollFile file in level)
            {
                if (file == avoid)
                    return -1;
                if (edges.TryGetValue(file, out List<EpollFile>? targets))
                    next.UnionWith(targets);
            }
            if (next.Count == 0 || depth > MaximumDepth)
                return depth;
            level = next;
        }
    }

    private static void Link(Dictionary<EpollFile, List<EpollFile>> edges, EpollFile from, EpollFile to)
    {
        if (!edges.TryGetValue(from, out List<EpollFile>? targets))
            edges[from] = targets = [];
        targets.Add(to);
    }

    private static void Unlink(Dictionary<EpollFile, List<EpollFile>> edges, EpollFile from, EpollFile to)
    {
        if (!edges.TryGetValue(from, out List<EpollFile>? targets))
            return;
        targets.Remove(to);
        if (targets.Count == 0)
            edges.Remove(from);
    }
}
