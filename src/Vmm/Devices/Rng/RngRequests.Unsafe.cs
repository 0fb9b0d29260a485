using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Devices.Rng;

/// <summary>Fills buffers with random bytes.</summary>
sealed unsafe class RngRequests(RngMetrics metrics)
{
    /// <summary>A request gets no more, whatever room it has; the driver is told (virtio 1.2, 5.4.6).</summary>
    public const uint MaximumBytes = 64 << 10;

    /// <summary>Larger pieces can be interrupted (getrandom(2)).</summary>
    private const int PieceBytes = 256;

    /// <summary>What a request gets: 0 when it has room for nothing, which no driver may ask (5.4.6.1).</summary>
    public static uint Length(DescriptorChain chain) => Math.Min(chain.WritableBytes, MaximumBytes);

    public RequestResult Fill(DescriptorChain chain, uint bytes)
    {
        Span<byte> piece = stackalloc byte[PieceBytes];
        for (uint done = 0; done < bytes; done += PieceBytes)
        {
            Span<byte> part = piece[..(int)Math.Min(PieceBytes, bytes - done)];
            fixed (byte* p = part)
            {
                // Once the generator is ready, as it is when a guest starts, this much never fails.
                if (getrandom(p, (nuint)part.Length, 0) != part.Length)
                    throw HostException.Last("getrandom");
            }
            chain.TryWrite(done, part);
        }
        metrics.CountBytes(bytes);
        return RequestResult.Done(bytes);
    }
}
