using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Block;

/// <summary>
/// Requests to a disk: a head of 16 bytes, data, and one byte for the answer, the last that can be written. Each queue
/// has a thread that calls this.
/// </summary>
sealed class BlockRequests(BlockImage image, string identity, RateLimiter limiter, BlockMetrics metrics)
{
    /// <summary>Ranges in one request to discard or to make zero.</summary>
    public const uint RangeLimit = 16;

    /// <summary>Sectors of one such range: 16 MiB, so that no request takes for ever.</summary>
    public const uint RangeSectors = 32768;

    private const uint HeadBytes = 16;
    private const uint RangeBytes = 16;
    private const uint StatusBytes = 1;

    private readonly byte[] _identity = Padded(identity);

    /// <summary>What driver and device agreed on.</summary>
    public ulong Features { get; set; }

    public RequestResult Serve(int queue, DescriptorChain chain)
    {
        if (chain.WritableBytes < StatusBytes || !chain.TryRead(0, out virtio_blk_outhdr head))
            return RequestResult.Broken(QueueFault.Request);
        uint readable = chain.ReadableBytes - HeadBytes;
        uint writable = chain.WritableBytes - StatusBytes;
        if (!limiter.TryPass(readable + (long)writable, out long readyAt))
            return RequestResult.Later(readyAt);
        uint written = 0;
        byte status = head.type switch
        {
            VIRTIO_BLK_T_IN => Read(chain, head.sector, writable, out written),
            VIRTIO_BLK_T_OUT => Write(chain, head.sector, readable),
            VIRTIO_BLK_T_FLUSH when Has(VIRTIO_BLK_F_FLUSH) => Flush(),
            VIRTIO_BLK_T_GET_ID => Identify(chain, writable, out written),
            VIRTIO_BLK_T_DISCARD when Has(VIRTIO_BLK_F_DISCARD) => Clear(chain, readable, isDiscard: true),
            VIRTIO_BLK_T_WRITE_ZEROES when Has(VIRTIO_BLK_F_WRITE_ZEROES) => Clear(chain, readable, isDiscard: false),
            _ => VIRTIO_BLK_S_UNSUPP,
        };
        if (status == VIRTIO_BLK_S_IOERR)
            metrics.CountError();
        else if (status == VIRTIO_BLK_S_UNSUPP)
            metrics.CountUnsupported();
        chain.TryWrite(writable, status);
        // Only what was written from the first byte on counts: the answer does where nothing is left out before it.
        return RequestResult.Done(written == writable ? written + StatusBytes : written);
    }

    private bool Has(int feature) => (Features & (1UL << feature)) != 0;

    private bool MayTransfer(ulong sector, uint bytes) =>
        bytes % BlockImage.SectorBytes == 0 && image.Contains(sector, bytes / BlockImage.SectorBytes);

    private byte Read(DescriptorChain chain, ulong sector, uint bytes, out uint done)
    {
        done = 0;
        if (!MayTransfer(sector, bytes))
            return VIRTIO_BLK_S_IOERR;
        Span<iovec> buffers = stackalloc iovec[chain.Capacity];
        while (done < bytes)
        {
            int count = chain.MapWritable(done, bytes - done, buffers);
            nint moved = image.Read(buffers[..count], (long)(sector * BlockImage.SectorBytes) + done);
            if (moved <= 0)
                return VIRTIO_BLK_S_IOERR;
            done += (uint)moved;
            metrics.CountRead((uint)moved);
        }
        return VIRTIO_BLK_S_OK;
    }

    private byte Write(DescriptorChain chain, ulong sector, uint bytes)
    {
        if (image.IsReadOnly || !MayTransfer(sector, bytes))
            return VIRTIO_BLK_S_IOERR;
        Span<iovec> buffers = stackalloc iovec[chain.Capacity];
        uint done = 0;
        while (done < bytes)
        {
            int count = chain.MapReadable(HeadBytes + done, bytes - done, buffers);
            // A driver that cannot flush takes every write for durable (virtio 1.2, 5.2.6.2).
            nint moved = image.Write(
                buffers[..count], (long)(sector * BlockImage.SectorBytes) + done, !Has(VIRTIO_BLK_F_FLUSH));
            if (moved <= 0)
                return VIRTIO_BLK_S_IOERR;
            done += (uint)moved;
            metrics.CountWritten((uint)moved);
        }
        return VIRTIO_BLK_S_OK;
    }

    private byte Flush()
    {
        metrics.CountFlush();
        return image.Flush() == 0 ? (byte)VIRTIO_BLK_S_OK : (byte)VIRTIO_BLK_S_IOERR;
    }

    private byte Identify(DescriptorChain chain, uint room, out uint written)
    {
        written = Math.Min(room, (uint)_identity.Length);
        chain.TryWrite(0, _identity.AsSpan(0, (int)written));
        return VIRTIO_BLK_S_OK;
    }

    private byte Clear(DescriptorChain chain, uint bytes, bool isDiscard)
    {
        if (image.IsReadOnly || bytes == 0 || bytes % RangeBytes != 0 || bytes / RangeBytes > RangeLimit)
            return VIRTIO_BLK_S_IOERR;
        for (uint at = 0; at < bytes; at += RangeBytes)
        {
            chain.TryRead(HeadBytes + at, out virtio_blk_discard_write_zeroes range);
            // Nothing may be left out of a discard, and of zeroes nothing but their blocks (5.2.6.2).
            uint known = isDiscard ? 0u : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
            if ((range.flags & ~known) != 0)
                return VIRTIO_BLK_S_UNSUPP;
            if (range.num_sectors > RangeSectors || !image.Contains(range.sector, range.num_sectors))
                return VIRTIO_BLK_S_IOERR;
            if (range.num_sectors == 0)
                continue;
            long offset = (long)range.sector * BlockImage.SectorBytes;
            long length = (long)range.num_sectors * BlockImage.SectorBytes;
            bool mayUnmap = isDiscard || range.flags != 0;
            int error = mayUnmap ? image.Discard(offset, length) : image.WriteZeroes(offset, length);
            if (error != 0)
                return error == -Libc.EOPNOTSUPP ? (byte)VIRTIO_BLK_S_UNSUPP : (byte)VIRTIO_BLK_S_IOERR;
            metrics.CountRange();
        }
        // As with writes, these last when no flush will follow.
        return Has(VIRTIO_BLK_F_FLUSH) || image.Flush() == 0 ? (byte)VIRTIO_BLK_S_OK : (byte)VIRTIO_BLK_S_IOERR;
    }

    private static byte[] Padded(string identity)
    {
        byte[] text = Encoding.ASCII.GetBytes(identity);
        if (text.Length > VIRTIO_BLK_ID_BYTES)
            throw new ArgumentException($"longer than {VIRTIO_BLK_ID_BYTES} bytes: {identity}", nameof(identity));
        Array.Resize(ref text, VIRTIO_BLK_ID_BYTES);
        return text;
    }
}
