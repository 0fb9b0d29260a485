namespace Sandbox.Fuzz.Engine;

/// <summary>A small fast generator (xorshift64*, Vigna 2016) whose sequence depends on nothing but the seed.</summary>
public sealed class FuzzRandom(ulong seed)
{
    private ulong _state = seed == 0 ? 0x9e37_79b9_7f4a_7c15 : seed;

    public ulong NextUlong()
    {
        _state ^= _state >> 12;
        _state ^= _state << 25;
        _state ^= _state >> 27;
        return _state * 0x2545_f491_4f6c_dd1d;
    }

    /// <summary>0 to bound-1.</summary>
    public int Below(int bound) => (int)(((UInt128)NextUlong() * (uint)bound) >> 64);

    public bool OneIn(int chances) => Below(chances) == 0;
}
