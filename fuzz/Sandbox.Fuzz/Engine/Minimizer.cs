using System.Numerics;

namespace Sandbox.Fuzz.Engine;

/// <summary>
/// Makes an input smaller and plainer while it still fails at the same site: cuts blocks, then zeroes bytes, until
/// nothing helps any more.
/// </summary>
public static class Minimizer
{
    /// <param name="fails">Whether an input still fails at the site that is kept.</param>
    public static byte[] Minimize(byte[] input, Func<byte[], bool> fails)
    {
        byte[] best = input;
        bool progress = true;
        while (progress)
        {
            progress = false;
            // Powers of two at their own multiples: records, whatever their length, go as a whole.
            for (int block = LargestBlock(best.Length / 2); block >= 1; block /= 2)
            {
                for (int offset = 0; offset < best.Length;)
                {
                    int length = Math.Min(block, best.Length - offset);
                    byte[] shorter = [.. best.AsSpan(0, offset), .. best.AsSpan(offset + length)];
                    if (fails(shorter))
                    {
                        best = shorter;
                        progress = true;
                    }
                    else
                    {
                        offset += length;
                    }
                }
            }
        }
        for (int block = LargestBlock(best.Length / 4); block >= 1; block /= 2)
        {
            for (int offset = 0; offset < best.Length; offset += block)
            {
                int length = Math.Min(block, best.Length - offset);
                if (!best.AsSpan(offset, length).ContainsAnyExcept((byte)0))
                    continue;
                byte[] plainer = [.. best];
                plainer.AsSpan(offset, length).Clear();
                if (fails(plainer))
                    best = plainer;
            }
        }
        return best;
    }

    private static int LargestBlock(int length) => length <= 1 ? 1 : 1 << BitOperations.Log2((uint)length);
}
