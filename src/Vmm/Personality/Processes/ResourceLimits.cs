using System.Runtime.CompilerServices;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

/// <summary>The sixteen limits of getrlimit(2). Copied by fork.</summary>
public sealed class ResourceLimits
{
    public const int Count = 16;
    public const ulong Infinity = ulong.MaxValue;

    private Table _soft;
    private Table _hard;

    [InlineArray(Count)]
    private struct Table
    {
        private ulong _first;
    }

    public ResourceLimits()
    {
        for (int i = 0; i < Count; i++)
            _soft[i] = _hard[i] = Infinity;
        _soft[RLIMIT_STACK] = 8 << 20;
        _soft[RLIMIT_CORE] = 0;
    }

    public ulong Soft(int resource) => _soft[resource];

    public ulong Hard(int resource) => _hard[resource];

    public void Set(int resource, ulong soft, ulong hard)
    {
        _soft[resource] = soft;
        _hard[resource] = hard;
    }

    public ResourceLimits Copy() => new() { _soft = _soft, _hard = _hard };
}
