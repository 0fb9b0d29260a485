using System.Runtime.InteropServices;
using SharpFuzz.Common;

namespace Sandbox.Fuzz.Engine;

/// <summary>
/// The edges that the instrumented assemblies took: 64 KiB of hit counters, one for each (hashed) pair of successive
/// basic blocks, and what of it has ever been seen. Counts fall into eight classes, so that a loop that ran twice
/// differs from one that ran once, but not every iteration is news.
/// </summary>
public sealed unsafe class CoverageMap
{
    private const int Size = 1 << 16;

    private readonly byte* _hits;
    private readonly byte[] _seen = new byte[Size];
    private static readonly byte[] Classes = BuildClasses();

    private CoverageMap()
    {
        _hits = (byte*)NativeMemory.AllocZeroed(Size);
        Trace.SharedMem = _hits;
    }

    /// <summary>
    /// The process's map. Instrumented code writes to it from its first instruction on, so it must be asked for before
    /// any such code runs.
    /// </summary>
    public static CoverageMap Installed { get; } = new();

    /// <summary>Edges ever taken.</summary>
    public int Edges { get; private set; }

    public void Reset()
    {
        new Span<byte>(_hits, Size).Clear();
        Trace.PrevLocation = 0;
    }

    /// <summary>Adds what ran since <see cref="Reset"/>. True when an edge, or a class of counts, is new.</summary>
    public bool Merge()
    {
        bool isNew = false;
        ulong* words = (ulong*)_hits;
        for (int i = 0; i < Size / sizeof(ulong); i++)
        {
            if (words[i] == 0)
                continue;
            for (int at = i * sizeof(ulong), end = at + sizeof(ulong); at < end; at++)
            {
                byte bit = Classes[_hits[at]];
                if ((_seen[at] | bit) == _seen[at])
                    continue;
                if (_seen[at] == 0)
                    Edges++;
                _seen[at] |= bit;
                isNew = true;
            }
        }
        return isNew;
    }

    private static byte[] BuildClasses()
    {
        byte[] classes = new byte[256];
        for (int hits = 1; hits < classes.Length; hits++)
        {
            classes[hits] = hits switch
            {
                1 => 1,
                2 => 2,
                3 => 4,
                < 8 => 8,
                < 16 => 16,
                < 32 => 32,
                < 128 => 64,
                _ => 128,
            };
        }
        return classes;
    }
}
