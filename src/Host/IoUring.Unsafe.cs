using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>
/// Requests to one file that the kernel works on while the caller goes on (io_uring(7)). The file and the operations
/// are settled when the ring is made: the kernel refuses everything else with EACCES, for good. Making a ring takes
/// io_uring_setup(2) and io_uring_register(2), working with it io_uring_enter(2) only. Not thread-safe: whoever calls
/// holds a lock of his. Nothing here allocates but <see cref="TryCreate"/>.
/// </summary>
/// <remarks>
/// Whoever disposes a ring has waited for its requests: the kernel goes on with those that are under way, in memory
/// that may be somebody else's by then.
/// </remarks>
public sealed unsafe class IoUring : IDisposable
{
    /// <summary>Threads of the kernel's, of two kinds each, for requests that cannot go on without one.</summary>
    private const uint WorkerLimit = 2;

    private const uint NeededFeatures = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP;

    private readonly MemoryMapping _rings;
    private readonly MemoryMapping _entries;
    private readonly uint* _submissionHead;
    private readonly uint* _submissionTail;
    private readonly uint* _submissions;
    private readonly uint* _completionHead;
    private readonly uint* _completionTail;
    private readonly io_uring_cqe* _completions;
    private readonly uint _submissionMask;
    private readonly uint _completionMask;

    private IoUring(FileDescriptor file, in io_uring_params made)
    {
        File = file;
        nuint length = Math.Max(
            made.sq_off.array + (made.sq_entries * sizeof(uint)),
            made.cq_off.cqes + (made.cq_entries * (uint)sizeof(io_uring_cqe)));
        _rings = Map(length, IORING_OFF_SQ_RING);
        try
        {
            _entries = Map(made.sq_entries * (uint)sizeof(io_uring_sqe), IORING_OFF_SQES);
        }
        catch (HostException)
        {
            _rings.Dispose();
            throw;
        }
        byte* start = _rings.Address;
        _submissionHead = (uint*)(start + made.sq_off.head);
        _submissionTail = (uint*)(start + made.sq_off.tail);
        _submissions = (uint*)(start + made.sq_off.array);
        _completionHead = (uint*)(start + made.cq_off.head);
        _completionTail = (uint*)(start + made.cq_off.tail);
        _completions = (io_uring_cqe*)(start + made.cq_off.cqes);
        _submissionMask = made.sq_entries - 1;
        _completionMask = made.cq_entries - 1;

        MemoryMapping Map(nuint bytes, long offset) =>
            MemoryMapping.Map(bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, offset, "an io_uring");
    }

    /// <summary>Readable (EPOLLIN) when a request has ended.</summary>
    public FileDescriptor File { get; }

    /// <summary>Whether a request has ended that was not taken.</summary>
    public bool HasEnded => *_completionHead != Volatile.Read(ref *_completionTail);

    private uint Pending => *_submissionTail - Volatile.Read(ref *_submissionHead);

    /// <summary>Makes a ring, or says why this host has none: its kernel is older than 5.15, or forbids it.</summary>
    /// <param name="entries">Requests at once: a power of two, at most 4096.</param>
    /// <param name="file">Stays the caller's. The ring holds it open too.</param>
    /// <param name="operations">IORING_OP_*, and no others.</param>
    /// <param name="error">0 or a negative error number: -ENOSYS, -EPERM, -EINVAL, as io_uring_setup(2) says.</param>
    /// <exception cref="HostException">There is one, but no memory for it.</exception>
    public static IoUring? TryCreate(
        uint entries, FileDescriptor file, ReadOnlySpan<byte> operations, out int error)
    {
        io_uring_params made = new() { flags = IORING_SETUP_R_DISABLED };
        var ring = new FileDescriptor();
        int fd = io_uring_setup(entries, &made);
        if (fd < 0)
        {
            error = -errno;
            return null;
        }
        ring.Adopt(fd);
        try
        {
            error = (made.features & NeededFeatures) == NeededFeatures ? Settle(fd, file, operations) : -EINVAL;
            if (error == 0)
                return new IoUring(ring, made);
        }
        catch (HostException)
        {
            ring.Dispose();
            throw;
        }
        ring.Dispose();
        return null;
    }

    /// <summary>Adds a request, which <see cref="Submit"/> begins. No more than the entries are under way.</summary>
    /// <param name="request">Without its file. What it points to stays as it is until it has ended.</param>
    public void Add(io_uring_sqe request)
    {
        request.fd = 0;
        request.flags = IOSQE_FIXED_FILE;
        uint tail = *_submissionTail;
        uint at = tail & _submissionMask;
        ((io_uring_sqe*)_entries.Address)[at] = request;
        _submissions[at] = at;
        Volatile.Write(ref *_submissionTail, tail + 1);
    }

    /// <summary>Begins what was added.</summary>
    /// <returns>0, or a negative error number: the rest waits here, for another try or to be taken back.</returns>
    public int Submit()
    {
        while (Pending is > 0 and uint count)
        {
            int taken = io_uring_enter(File.Value, count, 0, 0);
            if (taken < 0 && errno == EINTR)
                continue;
            if (taken <= 0)
                return taken < 0 ? -errno : -EAGAIN;
        }
        return 0;
    }

    /// <summary>Takes the request back that was added last and has not begun.</summary>
    public bool TryTakeBack(out ulong userData)
    {
        userData = 0;
        if (Pending == 0)
            return false;
        uint last = *_submissionTail - 1;
        userData = ((io_uring_sqe*)_entries.Address)[last & _submissionMask].user_data;
        Volatile.Write(ref *_submissionTail, last);
        return true;
    }

    /// <summary>The next request that has ended.</summary>
    /// <param name="result">As its system call's, an error as a negative number.</param>
    public bool TryTake(out ulong userData, out int result)
    {
        uint head = *_completionHead;
        if (head == Volatile.Read(ref *_completionTail))
        {
            (userData, result) = (0, 0);
            return false;
        }
        io_uring_cqe ended = _completions[head & _completionMask];
        Volatile.Write(ref *_completionHead, head + 1);
        (userData, result) = (ended.user_data, ended.res);
        return true;
    }

    /// <summary>Waits until a request has ended; one is under way.</summary>
    /// <exception cref="HostException">The kernel does not let anybody wait.</exception>
    public void Wait()
    {
        while (io_uring_enter(File.Value, 0, 1, IORING_ENTER_GETEVENTS) < 0)
            if (errno != EINTR)
                throw HostException.Last("io_uring_enter");
    }

    public void Dispose()
    {
        _entries.Dispose();
        _rings.Dispose();
        File.Dispose();
    }

    /// <summary>The file, the bounds, and the end of all settling.</summary>
    private static int Settle(int ring, FileDescriptor file, ReadOnlySpan<byte> operations)
    {
        int number = file.Value;
        uint* workers = stackalloc uint[2] { WorkerLimit, WorkerLimit };
        io_uring_restriction* rules = stackalloc io_uring_restriction[operations.Length + 2];
        int count = 0;
        rules[count++] = Rule(IORING_RESTRICTION_SQE_FLAGS_ALLOWED, IOSQE_FIXED_FILE);
        rules[count++] = Rule(IORING_RESTRICTION_SQE_FLAGS_REQUIRED, IOSQE_FIXED_FILE);
        foreach (byte operation in operations)
            rules[count++] = Rule(IORING_RESTRICTION_SQE_OP, operation);
        bool isSettled = io_uring_register(ring, IORING_REGISTER_FILES, &number, 1) >= 0
            && io_uring_register(ring, IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2) >= 0
            && io_uring_register(ring, IORING_REGISTER_RESTRICTIONS, rules, (uint)count) >= 0
            && io_uring_register(ring, IORING_REGISTER_ENABLE_RINGS, null, 0) >= 0;
        int error = isSettled ? 0 : -errno;
        GC.KeepAlive(file);
        return error;

        static io_uring_restriction Rule(int kind, int value) =>
            new() { opcode = (ushort)kind, sqe_op = (byte)value };
    }
}
