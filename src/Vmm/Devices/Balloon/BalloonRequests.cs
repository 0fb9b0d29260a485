using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Devices.Balloon;

/// <summary>Lists of pages, and statistics.</summary>
sealed class BalloonRequests(GuestRam ram, BalloonMetrics metrics)
{
    private const uint NumberBytes = 4;
    private const uint StatisticBytes = 10;

    /// <summary>Of one request, so that none takes for ever; what is behind them is not looked at.</summary>
    private const uint StatisticLimit = 64;

    /// <summary>Pages of one request: 4 GiB. A driver of Linux names 256.</summary>
    private const uint PageLimit = 1 << 20;

    private readonly uint[] _numbers = new uint[256];
    private readonly iovec[] _pieces = new iovec[256];

    /// <summary>Pages that the guest does not use any more.</summary>
    public RequestResult Inflate(DescriptorChain chain)
    {
        uint count = Math.Min(chain.ReadableBytes / NumberBytes, PageLimit);
        for (uint at = 0; at < count; at += (uint)_numbers.Length)
        {
            Span<uint> numbers = _numbers.AsSpan(0, (int)Math.Min((uint)_numbers.Length, count - at));
            chain.TryRead(at * NumberBytes, MemoryMarshal.AsBytes(numbers));
            GiveBack(numbers);
        }
        metrics.Inflated += count;
        return RequestResult.Done(0);
    }

    /// <summary>Pages that the guest uses again: they are there as soon as they are touched.</summary>
    public RequestResult Deflate(DescriptorChain chain)
    {
        metrics.Deflated += chain.ReadableBytes / NumberBytes;
        return RequestResult.Done(0);
    }

    /// <summary>Free memory, named as buffers that nothing is written to.</summary>
    public RequestResult Report(DescriptorChain chain)
    {
        int count = chain.MapWritable(0, chain.WritableBytes, _pieces);
        foreach (ref readonly iovec piece in _pieces.AsSpan(0, count))
            metrics.ReportedBytes += (long)GuestRam.Discard(piece);
        return RequestResult.Done(0);
    }

    /// <summary>Takes the statistics that are known; others are for later versions.</summary>
    public void Read(DescriptorChain chain, Span<ulong> statistics)
    {
        uint count = Math.Min(chain.ReadableBytes / StatisticBytes, StatisticLimit);
        for (uint i = 0; i < count; i++)
        {
            chain.TryRead(i * StatisticBytes, out virtio_balloon_stat statistic);
            if (statistic.tag < statistics.Length)
                statistics[statistic.tag] = statistic.val;
        }
    }

    // Neighbours together: a call costs more than a page.
    private void GiveBack(ReadOnlySpan<uint> numbers)
    {
        for (int i = 0; i < numbers.Length;)
        {
            int first = i;
            do
                i++;
            while (i < numbers.Length && numbers[i] == (ulong)numbers[i - 1] + 1);
            ulong start = (ulong)numbers[first] << VirtioAbi.VIRTIO_BALLOON_PFN_SHIFT;
            if (!ram.TryDiscard(start, (ulong)(i - first) << VirtioAbi.VIRTIO_BALLOON_PFN_SHIFT))
                metrics.Refused += i - first;
        }
    }
}
