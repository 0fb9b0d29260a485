using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

// Locks on open files: fcntl(2) record locks and flock(2).
public abstract partial class OpenFile
{
    /// <summary>Set once this description has held a lock of its own.</summary>
    private volatile LockTable? _locks;

    /// <summary>
    /// What locks are on. Pipes and their like have them as well: make(1) takes turns by one on its output.
    /// </summary>
    protected virtual FileIdentity LockIdentity
    {
        get
        {
            GetStatus(out stat status);
            return new(status.st_dev, status.st_ino);
        }
    }

    /// <summary>fcntl(2) commands about the file rather than the descriptor: locks, leases, seals, pipe sizes.</summary>
    public long Control(GuestThread thread, int command, ulong argument) => command switch
    {
        F_GETLK or F_OFD_GETLK => GetRecordLock(thread, command, argument),
        F_SETLK or F_SETLKW or F_OFD_SETLK or F_OFD_SETLKW => SetRecordLock(thread, command, argument),
        // No leases: nobody outside could be told to break them. None is what there is.
        F_GETLEASE => F_UNLCK,
        F_SETLEASE => (int)argument == F_UNLCK ? 0 : -EINVAL,
        F_GET_RW_HINT or F_SET_RW_HINT => -EINVAL,
        _ => ControlFile(thread, command, argument),
    };

    /// <summary>Commands of one kind of file.</summary>
    protected virtual long ControlFile(GuestThread thread, int command, ulong argument) => -EINVAL;

    /// <summary>flock(2).</summary>
    public long LockWhole(GuestThread thread, int operation)
    {
        LockTable locks = thread.Personality.Files.Locks;
        bool? exclusive = (operation & ~LOCK_NB) switch
        {
            LOCK_SH => false,
            LOCK_EX => true,
            _ => null,
        };
        if (exclusive is not null)
            _locks = locks;
        FileIdentity file = LockIdentity;
        long result = locks.SetWhole(file, this, exclusive);
        if (result != -EAGAIN || (operation & LOCK_NB) != 0)
            return result;
        locks.BeginWait(file, thread.WaitEntry);
        try
        {
            while ((result = locks.SetWhole(file, this, exclusive)) == -EAGAIN)
            {
                if (thread.MayWait() is var code and not 0)
                    return code;
                thread.Parker.Park(Parker.Forever);
            }
            return result;
        }
        finally
        {
            locks.EndWait(file, thread.WaitEntry);
        }
    }

    /// <summary>close(2) of one descriptor by <paramref name="process"/>: POSIX record locks end here.</summary>
    public void OnDescriptorClosed(Process process)
    {
        if (process.HasLockedRecords)
            process.Personality.Files.Locks.Release(LockIdentity, process);
    }

    private void ReleaseFileLocks() => _locks?.Release(LockIdentity, this);

    private long SetRecordLock(GuestThread thread, int command, ulong argument)
    {
        long result = ReadLock(thread, argument, out flock request, out long first, out long last);
        if (result < 0)
            return result;
        bool ofd = command is F_OFD_SETLK or F_OFD_SETLKW;
        if (ofd && request.l_pid != 0)
            return -EINVAL;
        bool? exclusive;
        switch (request.l_type)
        {
            case F_RDLCK when CanRead:
                exclusive = false;
                break;
            case F_WRLCK when CanWrite:
                exclusive = true;
                break;
            case F_UNLCK:
                exclusive = null;
                break;
            case F_RDLCK or F_WRLCK:
                return -EBADF;
            default:
                return -EINVAL;
        }

        LockTable locks = thread.Personality.Files.Locks;
        object owner = ofd ? this : thread.Process;
        int pid = ofd ? -1 : thread.Process.Pid;
        if (ofd)
            _locks = locks;
        else if (exclusive is not null)
            thread.Process.HasLockedRecords = true;
        FileIdentity file = LockIdentity;
        result = locks.SetRecord(file, owner, pid, exclusive, first, last);
        if (result != -EAGAIN || command is F_SETLK or F_OFD_SETLK)
            return result;

        locks.BeginWait(file, thread.WaitEntry);
        try
        {
            while ((result = locks.SetRecord(file, owner, pid, exclusive, first, last)) == -EAGAIN)
            {
                if (!ofd)
                {
                    long deadlock = locks.NoteWait(file, owner, exclusive!.Value, first, last);
                    if (deadlock < 0)
                        return deadlock;
                }
                if (thread.MayWait() is var code and not 0)
                    return code;
                thread.Parker.Park(Parker.Forever);
            }
            return result;
        }
        finally
        {
            locks.EndNote(owner);
            locks.EndWait(file, thread.WaitEntry);
        }
    }

    private long GetRecordLock(GuestThread thread, int command, ulong argument)
    {
        long result = ReadLock(thread, argument, out flock request, out long first, out long last);
        if (result < 0)
            return result;
        if (request.l_type is not (F_RDLCK or F_WRLCK))
            return -EINVAL;
        bool ofd = command == F_OFD_GETLK;
        if (ofd && request.l_pid != 0)
            return -EINVAL;
        object owner = ofd ? this : thread.Process;
        LockTable.RecordLock? conflict = thread.Personality.Files.Locks.FindConflict(
            LockIdentity, owner, request.l_type == F_WRLCK, first, last);
        if (conflict is { } held)
        {
            request.l_type = (short)(held.Exclusive ? F_WRLCK : F_RDLCK);
            request.l_whence = SEEK_SET;
            request.l_start = held.First;
            request.l_len = held.Last == long.MaxValue ? 0 : held.Last - held.First + 1;
            request.l_pid = held.Pid;
        }
        else
        {
            request.l_type = F_UNLCK;
        }
        return thread.Memory.TryWrite(new VirtualAddress(argument), request) ? 0 : -EFAULT;
    }

    /// <summary>Copies a struct flock in and turns it into first and last byte.</summary>
    private long ReadLock(GuestThread thread, ulong argument, out flock request, out long first, out long last)
    {
        first = last = 0;
        if (!thread.Memory.TryRead(new VirtualAddress(argument), out request))
            return -EFAULT;
        long origin;
        switch (request.l_whence)
        {
            case SEEK_SET:
                origin = 0;
                break;
            case SEEK_CUR:
                // What has no position is at its beginning.
                origin = Math.Max(Seek(0, SEEK_CUR), 0);
                break;
            case SEEK_END:
                origin = GetStatus(out stat status) is var error and < 0 ? error : status.st_size;
                break;
            default:
                return -EINVAL;
        }
        return origin < 0 ? origin : ToRange(origin, request.l_start, request.l_len, out first, out last);
    }

    /// <summary>A negative length locks what lies before the start; 0 means to the end.</summary>
    internal static long ToRange(long origin, long start, long length, out long first, out long last)
    {
        last = 0;
        first = unchecked(origin + start);
        if (start > 0 && first < origin)
            return -EOVERFLOW;
        if (first < 0)
            return -EINVAL;
        if (length > 0)
        {
            last = unchecked(first + length - 1);
            return last < first ? -EOVERFLOW : 0;
        }
        if (length == 0)
        {
            last = long.MaxValue;
            return 0;
        }
        last = first - 1;
        first = unchecked(first + length);
        return first < 0 ? -EINVAL : 0;
    }
}
