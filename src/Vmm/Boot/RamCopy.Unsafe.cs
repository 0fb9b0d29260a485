using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Boot;

/// <summary>Reads files straight into a guest's RAM, before the guest runs.</summary>
static unsafe class RamCopy
{
    private const int Piece = 1 << 30;

    /// <returns>False when the range is not RAM as a whole, or the file has not that much.</returns>
    public static bool TryLoad(IBootFile file, ulong offset, GuestRam ram, ulong address, ulong length)
    {
        if (length == 0)
            return true;
        byte* target = ram.Find(address, length);
        if (target == null)
            return false;
        while (length > 0)
        {
            int piece = (int)Math.Min(length, Piece);
            if (!file.TryRead(offset, new Span<byte>(target, piece)))
                return false;
            offset += (ulong)piece;
            target += piece;
            length -= (ulong)piece;
        }
        return true;
    }
}
