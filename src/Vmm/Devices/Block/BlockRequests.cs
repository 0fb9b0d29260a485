using System.Runtime.InteropServices;
using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Block;

/// <summary>
/// Requests to a disk: a head of 16 bytes, data, and one byte for the answer, the last that can be written. Each queue
/// has a thread that calls this.
/// </summary>
/// <param name="reads">Holds what only reads.</param>
/// <param name="writes">Holds all else: what is written, made zero, discarded or flushed.</param>
sealed class BlockRequests(
    BlockImage image, string identity, RateLimiter reads, RateLimiter writes, BlockMetrics metrics)
{
    /// <summary>Ranges in one request to discard.</summary>
    public const uint DiscardLimit = 16;

    /// <summary>In one to make zero, which may be written.</summary>
    public const uint ZeroesLimit = 1;

    /// <summary>Sectors of one such range: 16 MiB, so that no request takes for ever.</summary>
    public const uint RangeSectors = 32768;

    private const uint HeadBytes = 16;
    private const uint RangeBytes = 16;
    private const uint StatusBytes = 1;

    private readonly byte[] _identity = Padded(identity);

    /// <summary>What driver and device agreed on.</summary>
    public ulong Features { get; set; }

    /// <param name="ring">Takes requests that wait for the disk; the chain is its <see cref="BlockRing.Room"/>.</param>
    public RequestResult Serve(DescriptorChain chain, BlockRing? ring)
    {
        if (chain.WritableBytes < StatusBytes || !chain.TryRead(0, out virtio_blk_outhdr head))
            return RequestResult.Broken(QueueFault.Request);
        uint readable = chain.ReadableBytes - HeadBytes;
        uint writable = chain.WritableBytes - StatusBytes;
        if (IsClear(head.type))
            return Clear(chain, readable, writable, head.type == VIRTIO_BLK_T_DISCARD);
        RateLimiter limiter = head.type is VIRTIO_BLK_T_IN or VIRTIO_BLK_T_GET_ID ? reads : writes;
        if (!limiter.TryPass(readable + (long)writable, out long readyAt))
            return RequestResult.Later(readyAt);
        if (ring is not null && TryLeave(ring, head, readable, writable))
            return RequestResult.Kept;
        metrics.CountPlain();
        uint written = 0;
        byte status = head.type switch
        {
            VIRTIO_BLK_T_IN => MayRead(head.sector, writable)
                ? Read(chain, OffsetOf(head.sector), writable, ref written) : (byte)VIRTIO_BLK_S_IOERR,
            VIRTIO_BLK_T_OUT => MayWrite(head.sector, readable)
                ? Write(chain, OffsetOf(head.sector), readable, done: 0) : (byte)VIRTIO_BLK_S_IOERR,
            VIRTIO_BLK_T_FLUSH when Has(VIRTIO_BLK_F_FLUSH) => Flush(),
            VIRTIO_BLK_T_GET_ID => Identify(chain, writable, out written),
            _ => VIRTIO_BLK_S_UNSUPP,
        };
        return RequestResult.Done(Answer(chain, status, written));
    }

    /// <summary>Answers a request that a ring had.</summary>
    /// <param name="result">Bytes, or a negative error number.</param>
    /// <returns>Bytes written into the chain.</returns>
    public uint End(BlockOperation operation, int result)
    {
        DescriptorChain chain = operation.Chain;
        // The kernel had no room or no thread for it. All other errors are the disk's: it may tell of them only once.
        bool isUndone = result is -Libc.EAGAIN or -Libc.ECANCELED or -Libc.EINTR;
        if (isUndone)
            metrics.CountPlain();
        else
            metrics.CountRing();
        // What is left of a transfer is done here: none is cut off but by the image's end.
        bool goesOn = isUndone || result > 0;
        uint done = (uint)Math.Max(result, 0);
        uint written = 0;
        byte status = VIRTIO_BLK_S_IOERR;
        switch (operation.Action)
        {
            case BlockAction.Read:
                metrics.CountRead(done);
                written = done;
                if (goesOn)
                    status = Read(chain, operation.Offset, operation.Bytes, ref written);
                break;
            case BlockAction.Write:
                metrics.CountWritten(done);
                if (goesOn)
                    status = Write(chain, operation.Offset, operation.Bytes, done);
                break;
            case BlockAction.Flush when isUndone:
                status = FlushImage();
                break;
            case BlockAction.Flush when result == 0:
                status = VIRTIO_BLK_S_OK;
                break;
        }
        return Answer(chain, status, written);
    }

    private bool Has(int feature) => (Features & (1UL << feature)) != 0;

    private bool IsClear(uint type) =>
        (type == VIRTIO_BLK_T_DISCARD && Has(VIRTIO_BLK_F_DISCARD))
        || (type == VIRTIO_BLK_T_WRITE_ZEROES && Has(VIRTIO_BLK_F_WRITE_ZEROES));

    private static long OffsetOf(ulong sector) => (long)(sector * BlockImage.SectorBytes);

    private bool MayRead(ulong sector, uint bytes) =>
        bytes % BlockImage.SectorBytes == 0 && image.Contains(sector, bytes / BlockImage.SectorBytes);

    private bool MayWrite(ulong sector, uint bytes) => !image.IsReadOnly && MayRead(sector, bytes);

    /// <summary>
    /// Leaves to a ring what waits for the host's disk: reads, flushes, and writes that have to be there when they are
    /// answered. Other writes only fill the host's page cache, which takes a thread of the kernel's longer than this one.
    /// </summary>
    private bool TryLeave(BlockRing ring, in virtio_blk_outhdr head, uint readable, uint writable)
    {
        switch (head.type)
        {
            case VIRTIO_BLK_T_IN when writable > 0 && MayRead(head.sector, writable):
                ring.Add(BlockAction.Read, OffsetOf(head.sector), 0, writable);
                return true;
            case VIRTIO_BLK_T_OUT when readable > 0 && !Has(VIRTIO_BLK_F_FLUSH) && MayWrite(head.sector, readable):
                ring.Add(BlockAction.Write, OffsetOf(head.sector), HeadBytes, readable);
                return true;
            case VIRTIO_BLK_T_FLUSH when Has(VIRTIO_BLK_F_FLUSH):
                metrics.CountFlush();
                ring.Add(BlockAction.Flush, 0, 0, 0);
                return true;
            default:
                return false;
        }
    }

    private uint Answer(DescriptorChain chain, byte status, uint written)
    {
        if (status == VIRTIO_BLK_S_IOERR)
            metrics.CountError();
        else if (status == VIRTIO_BLK_S_UNSUPP)
            metrics.CountUnsupported();
        uint writable = chain.WritableBytes - StatusBytes;
        chain.TryWrite(writable, status);
        // Only what was written from the first byte on counts: the answer does where nothing is left out before it.
        return written == writable ? written + StatusBytes : written;
    }

    private byte Read(DescriptorChain chain, long offset, uint bytes, ref uint done)
    {
        Span<iovec> buffers = stackalloc iovec[chain.Capacity];
        while (done < bytes)
        {
            int count = chain.MapWritable(done, bytes - done, buffers);
            nint moved = image.Read(buffers[..count], offset + done);
            if (moved <= 0)
                return VIRTIO_BLK_S_IOERR;
            done += (uint)moved;
            metrics.CountRead((uint)moved);
        }
        return VIRTIO_BLK_S_OK;
    }

    private byte Write(DescriptorChain chain, long offset, uint bytes, uint done)
    {
        Span<iovec> buffers = stackalloc iovec[chain.Capacity];
        while (done < bytes)
        {
            int count = chain.MapReadable(HeadBytes + done, bytes - done, buffers);
            // A driver that cannot flush takes every write for durable (virtio 1.2, 5.2.6.2).
            nint moved = image.Write(buffers[..count], offset + done, !Has(VIRTIO_BLK_F_FLUSH));
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
        return FlushImage();
    }

    private byte FlushImage() => image.Flush() == 0 ? (byte)VIRTIO_BLK_S_OK : (byte)VIRTIO_BLK_S_IOERR;

    private byte Identify(DescriptorChain chain, uint room, out uint written)
    {
        written = Math.Min(room, (uint)_identity.Length);
        chain.TryWrite(0, _identity.AsSpan(0, (int)written));
        return VIRTIO_BLK_S_OK;
    }

    private RequestResult Clear(DescriptorChain chain, uint readable, uint writable, bool isDiscard)
    {
        Span<virtio_blk_discard_write_zeroes> ranges =
            stackalloc virtio_blk_discard_write_zeroes[(int)(isDiscard ? DiscardLimit : ZeroesLimit)];
        byte status = ReadRanges(chain, readable, isDiscard, ref ranges);
        long zeroes = 0;
        foreach (ref readonly virtio_blk_discard_write_zeroes range in ranges)
            zeroes += isDiscard ? 0 : OffsetOf(range.num_sectors);
        // What becomes zero counts as if the driver had written it: the host may have to.
        if (!writes.TryPass(readable + (long)writable + zeroes, out long readyAt))
            return RequestResult.Later(readyAt);
        metrics.CountPlain();
        for (int i = 0; i < ranges.Length && status == VIRTIO_BLK_S_OK; i++)
            status = Clear(ranges[i], isDiscard);
        // As with writes, these last when no flush will follow.
        if (status == VIRTIO_BLK_S_OK && !Has(VIRTIO_BLK_F_FLUSH))
            status = FlushImage();
        return RequestResult.Done(Answer(chain, status, written: 0));
    }

    /// <summary>Takes the ranges of a request: all of them are right, or there are none.</summary>
    /// <param name="ranges">As many as there may be; then, as many as there are.</param>
    private byte ReadRanges(
        DescriptorChain chain, uint bytes, bool isDiscard, ref Span<virtio_blk_discard_write_zeroes> ranges)
    {
        Span<virtio_blk_discard_write_zeroes> read = ranges;
        ranges = [];
        if (image.IsReadOnly || bytes == 0 || bytes % RangeBytes != 0 || bytes / RangeBytes > (uint)read.Length)
            return VIRTIO_BLK_S_IOERR;
        read = read[..(int)(bytes / RangeBytes)];
        chain.TryRead(HeadBytes, MemoryMarshal.AsBytes(read));
        // Nothing may be left out of a discard, and of zeroes nothing but their blocks (5.2.6.2).
        uint known = isDiscard ? 0u : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
        foreach (ref readonly virtio_blk_discard_write_zeroes range in read)
        {
            if ((range.flags & ~known) != 0)
                return VIRTIO_BLK_S_UNSUPP;
            if (range.num_sectors > RangeSectors || !image.Contains(range.sector, range.num_sectors))
                return VIRTIO_BLK_S_IOERR;
        }
        ranges = read;
        return VIRTIO_BLK_S_OK;
    }

    private byte Clear(in virtio_blk_discard_write_zeroes range, bool isDiscard)
    {
        if (range.num_sectors == 0)
            return VIRTIO_BLK_S_OK;
        long offset = OffsetOf(range.sector);
        long length = OffsetOf(range.num_sectors);
        int error = isDiscard || range.flags != 0 ? image.Discard(offset, length) : -Libc.EOPNOTSUPP;
        // Zeroes are due whether blocks can be given back or not; block devices often cannot.
        bool isWritten = error == -Libc.EOPNOTSUPP && !isDiscard;
        if (isWritten)
            error = image.WriteZeroes(offset, length);
        if (error != 0)
            return error == -Libc.EOPNOTSUPP ? (byte)VIRTIO_BLK_S_UNSUPP : (byte)VIRTIO_BLK_S_IOERR;
        metrics.CountRange();
        if (isWritten)
            metrics.CountWritten((uint)length);
        return VIRTIO_BLK_S_OK;
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
