namespace Sandbox.Policy.Language;

/// <summary>For each port the first thing that was said of it.</summary>
sealed class FirstByPort<T> where T : class
{
    const int Ports = ushort.MaxValue + 1;

    readonly T?[] _first = new T?[Ports];

    /// <summary>From a port, the next of which nothing has been said: each is passed over once.</summary>
    readonly int[] _free = [.. Enumerable.Range(0, Ports + 1)];

    /// <summary>From a port, the next of which something has been said; made when it is asked for.</summary>
    int[]? _taken;

    /// <summary>Whether there is a port of the range of which nothing has been said.</summary>
    public bool HasFree(ushort first, ushort last) => Free(first) <= last;

    public void Add(ushort first, ushort last, T item)
    {
        _taken = null;
        for (int port = Free(first); port <= last; port = Free(port))
        {
            _first[port] = item;
            _free[port] = port + 1;
        }
    }

    /// <summary>The lowest port of a range of which something was said, or null.</summary>
    public (ushort Port, T Item)? FirstIn(ushort first, ushort last)
    {
        int port = (_taken ??= Taken())[first];
        return port <= last ? ((ushort)port, _first[port]!) : null;
    }

    /// <summary>The ports of a range of which something was said, as ranges.</summary>
    public IEnumerable<(ushort First, ushort Last)> Within(ushort first, ushort last)
    {
        for (int port = first; port <= last && FirstIn((ushort)port, last) is (ushort at, _); port = Free(at))
            yield return (at, (ushort)Math.Min(Free(at) - 1, last));
    }

    int Free(int port)
    {
        while (_free[port] != port)
            port = _free[port] = _free[_free[port]];
        return port;
    }

    int[] Taken()
    {
        int[] taken = new int[Ports];
        int next = Ports;
        for (int port = Ports - 1; port >= 0; port--)
            taken[port] = next = _first[port] is null ? next : port;
        return taken;
    }
}
