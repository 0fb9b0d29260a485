using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Host.Tests;

public sealed unsafe class IoUringTests : IDisposable
{
    private readonly FileDescriptor _file = FileDescriptor.CreateMemory("file", 4096);

    public void Dispose() => _file.Dispose();

    private IoUring Make(uint entries = 4, params ReadOnlySpan<byte> operations)
    {
        IoUring? ring = IoUring.TryCreate(
            entries, _file, operations.IsEmpty ? [IORING_OP_READV, IORING_OP_WRITEV] : operations, out int error);
        Assert.SkipUnless(ring is not null, "this host has no io_uring for this process");
        Assert.Equal(0, error);
        return ring;
    }

    private static int End(IoUring ring, ulong number)
    {
        ring.Wait();
        Assert.True(ring.HasEnded);
        Assert.True(ring.TryTake(out ulong ended, out int result));
        Assert.Equal(number, ended);
        return result;
    }

    private static int Transfer(IoUring ring, byte operation, Span<byte> bytes, ulong offset, ulong number)
    {
        fixed (byte* data = bytes)
        {
            iovec buffer = new() { iov_base = data, iov_len = (nuint)bytes.Length };
            ring.Add(new io_uring_sqe
            {
                opcode = operation, off = offset, addr = (ulong)&buffer, len = 1, user_data = number,
            });
            Assert.Equal(0, ring.Submit());
            return End(ring, number);
        }
    }

    [Fact]
    public void Requests_reach_the_file_round_after_round()
    {
        using IoUring ring = Make();
        byte[] bytes = new byte[8];
        for (ulong i = 0; i < 20; i++)
        {
            bytes.AsSpan().Fill((byte)i);
            Assert.Equal(8, Transfer(ring, IORING_OP_WRITEV, bytes, 8 * i, i));
            bytes.AsSpan().Clear();
            Assert.Equal(8, Transfer(ring, IORING_OP_READV, bytes, 8 * i, i + 100));
            Assert.Equal((byte)i, bytes[7]);
        }
        Assert.False(ring.HasEnded);
        Assert.False(ring.TryTake(out _, out _));
        Assert.Equal(0, Transfer(ring, IORING_OP_READV, bytes, 4096, 7));
    }

    [Fact]
    public void An_operation_that_was_not_named_is_refused()
    {
        using IoUring ring = Make(4, IORING_OP_READV);
        byte[] bytes = new byte[8];
        Assert.Equal(-EACCES, Transfer(ring, IORING_OP_WRITEV, bytes, 0, 1));
        Assert.Equal(-EACCES, Transfer(ring, IORING_OP_FSYNC, bytes, 0, 2));
        Assert.Equal(-EACCES, Transfer(ring, IORING_OP_NOP, bytes, 0, 3));
        Assert.Equal(8, Transfer(ring, IORING_OP_READV, bytes, 0, 4));
    }

    [Fact]
    public void A_ring_that_is_made_is_changed_no_more()
    {
        using IoUring ring = Make();
        int file = _file.Value;
        Assert.Equal(-1, io_uring_register(ring.File.Value, IORING_REGISTER_FILES, &file, 1));
        Assert.NotEqual(0, errno);
        io_uring_restriction rule = new() { opcode = IORING_RESTRICTION_SQE_OP, sqe_op = IORING_OP_FSYNC };
        Assert.Equal(-1, io_uring_register(ring.File.Value, IORING_REGISTER_RESTRICTIONS, &rule, 1));
        Assert.Equal(-1, io_uring_register(ring.File.Value, IORING_REGISTER_ENABLE_RINGS, null, 0));
        Assert.Equal(-EACCES, Transfer(ring, IORING_OP_FSYNC, [], 0, 1));
    }

    [Fact]
    public void What_has_not_begun_is_taken_back()
    {
        using IoUring ring = Make();
        ring.Add(new io_uring_sqe { opcode = IORING_OP_READV, user_data = 1 });
        ring.Add(new io_uring_sqe { opcode = IORING_OP_READV, user_data = 2 });
        Assert.True(ring.TryTakeBack(out ulong second));
        Assert.True(ring.TryTakeBack(out ulong first));
        Assert.False(ring.TryTakeBack(out _));
        Assert.Equal((1ul, 2ul), (first, second));
        Assert.Equal(0, ring.Submit());
        Assert.False(ring.HasEnded);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u << 20)]
    public void A_kernel_that_makes_none_is_told(uint entries)
    {
        int before = Rings();
        Assert.Null(IoUring.TryCreate(entries, _file, [IORING_OP_READV], out int error));
        Assert.InRange(error, -200, -1);
        // A ring is no file that a ring can hold: settling fails, after it was made.
        Assert.Null(IoUring.TryCreate(4, _file, new byte[4096], out error));
        Assert.InRange(error, -200, -1);
        Assert.Equal(before, Rings());

        // Not all that is open: other tests open files meanwhile.
        static int Rings() =>
            Directory.GetFiles("/proc/self/fd").Count(file => new FileInfo(file).LinkTarget?.Contains("io_uring") == true);
    }
}
