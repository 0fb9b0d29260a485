using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>
/// A child process that makes a list of system calls, the last of which is an execve. Between clone and execve(2)
/// it runs no code but the loop that makes them (sandbox-gate's clone_script): a managed program has other threads from
/// its start, and what they hold is held for ever in a forked child. The list, and all that its arguments point to,
/// lies in memory that the garbage collector does not know, and which the child shares until its execve.
/// </summary>
/// <remarks>One thread builds and starts a script, once.</remarks>
public sealed unsafe class ChildScript : IDisposable
{
    private const int MaximumSteps = 256;
    private const int StepBytes = MaximumSteps * CloneBytes.StepSize;
    private const int DataBytes = 64 << 10;
    private const long NotReached = long.MinValue;

    /// <summary>What <see cref="AddHold"/> waits at most: far more than its parent ever needs.</summary>
    private const long HoldSeconds = 30;

    private readonly MemoryMapping _memory;
    private readonly MachineCode _code = new(CloneBytes.Bytes, "child script");
    private readonly string[] _names = new string[MaximumSteps];
    private int _steps;
    private nuint _used = StepBytes;
    private (FileDescriptor Parents, FileDescriptor Childs)? _pipe;
    private int* _hold;
    private int* _alive;
    private timespec* _clock;

    /// <summary>As sandbox-gate's clone_script reads it.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Step
    {
        public long Number;
        public nint A0, A1, A2, A3, A4, A5;
        public long Result;
        public long Tolerated;
    }

    /// <summary>The steps' names, in their order; a hold's is futex.</summary>
    public IEnumerable<string> Steps => _names.Take(_steps);

    /// <exception cref="HostException">No memory, or the host refuses an executable page.</exception>
    public ChildScript()
    {
        Debug.Assert(sizeof(Step) == CloneBytes.StepSize);
        _memory = MemoryMapping.Map(
            StepBytes + DataBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, what: "child script");
        _alive = Place(1);
    }

    /// <summary>Copies a value to where the child's calls can point to it.</summary>
    public T* Place<T>(T value)
        where T : unmanaged
    {
        T* place = (T*)Reserve((nuint)sizeof(T));
        *place = value;
        return place;
    }

    /// <summary>Copies values, one after another.</summary>
    public T* PlaceAll<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        T* place = (T*)Reserve((nuint)values.Length * (nuint)sizeof(T));
        values.CopyTo(new Span<T>(place, values.Length));
        return place;
    }

    /// <summary>Copies a text, as UTF-8 with a NUL behind it.</summary>
    public nint PlaceText(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text + '\0');
        byte* place = Reserve((nuint)bytes.Length);
        bytes.CopyTo(new Span<byte>(place, bytes.Length));
        return (nint)place;
    }

    /// <summary>A list of pointers with a null behind it, as execve takes them.</summary>
    public nint PlaceList(params ReadOnlySpan<nint> items)
    {
        nint* place = (nint*)Reserve((nuint)(items.Length + 1) * (nuint)sizeof(nint));
        items.CopyTo(new Span<nint>(place, items.Length));
        place[items.Length] = 0;
        return (nint)place;
    }

    /// <summary>A call that must succeed, or the child ends.</summary>
    /// <param name="name">For the message when it fails.</param>
    public void Add(
        string name, int number, nint a0 = 0, nint a1 = 0, nint a2 = 0, nint a3 = 0, nint a4 = 0, nint a5 = 0) =>
        AddTolerating(0, name, number, a0, a1, a2, a3, a4, a5);

    /// <summary>A call that may fail, but only with this error.</summary>
    public void AddTolerating(
        int errno, string name, int number, nint a0 = 0, nint a1 = 0, nint a2 = 0, nint a3 = 0, nint a4 = 0,
        nint a5 = 0)
    {
        // The last place holds the end of the list.
        if (_steps == MaximumSteps - 1)
            throw new InvalidOperationException($"more than {MaximumSteps - 1} steps");
        _names[_steps] = name;
        StepAt(_steps++) = new Step
        {
            Number = number, A0 = a0, A1 = a1, A2 = a2, A3 = a3, A4 = a4, A5 = a5, Result = NotReached,
            Tolerated = -errno,
        };
    }

    /// <summary>The child ends when its parent does, and here, if that is gone already.</summary>
    /// <remarks>
    /// No signal tells a child of a death before PR_SET_PDEATHSIG, and in a PID namespace it sees no parent's number. But
    /// nobody can read any more what it writes then: EPIPE, or SIGPIPE.
    /// </remarks>
    /// <returns>What the parent has open for it until this script's end; closed before, it is as if the parent were gone.</returns>
    /// <exception cref="HostException">The host has no descriptor left.</exception>
    public FileDescriptor AddEndWithParent()
    {
        _pipe = FileDescriptor.CreatePipe();
        Add("prctl PR_SET_PDEATHSIG", SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
        Add("close", SYS_close, _pipe.Value.Parents.Value);
        Add("write to its parent", SYS_write, _pipe.Value.Childs.Value, PlaceText("."), 1);
        return _pipe.Value.Parents;
    }

    /// <summary>The child waits here for <see cref="Release"/>; it ends if that does not come.</summary>
    public void AddHold()
    {
        _hold = Place(0);
        timespec* patience = Place(new timespec { tv_sec = HoldSeconds });
        AddTolerating(EAGAIN, "futex", SYS_futex, (nint)_hold, FUTEX_WAIT_PRIVATE, 0, (nint)patience);
    }

    /// <summary>The child notes when it gets here: <see cref="ClockNanoseconds"/>.</summary>
    public void AddClock()
    {
        _clock = Place(default(timespec));
        Add("clock_gettime", SYS_clock_gettime, CLOCK_MONOTONIC, (nint)_clock);
    }

    /// <summary>Of CLOCK_MONOTONIC; 0 before the child got there. Ask once it is gone.</summary>
    public long ClockNanoseconds => _clock is null ? 0 : (_clock->tv_sec * 1_000_000_000) + _clock->tv_nsec;

    /// <summary>Lets the child go on from <see cref="AddHold"/>.</summary>
    public void Release()
    {
        Volatile.Write(ref *_hold, 1);
        HostFutex.Wake(_hold, 1);
    }

    /// <summary>Starts the child. It has copies of all descriptors, and no signal handlers.</summary>
    /// <param name="flags">CLONE_NEW* and CLONE_INTO_CGROUP, whose descriptor is <paramref name="cgroup"/>.</param>
    /// <param name="pid">As the caller sees it; the caller waits for it.</param>
    /// <param name="pidfd">Owned by the caller.</param>
    /// <returns>0 or a negative error number.</returns>
    public int Start(long flags, int cgroup, out int pid, out FileDescriptor? pidfd)
    {
        StepAt(_steps).Number = CloneBytes.End;
        int number = -1;
        clone_args arguments = new()
        {
            flags = (ulong)(flags | CLONE_VM | CLONE_PIDFD | CLONE_CHILD_CLEARTID | CLONE_CLEAR_SIGHAND),
            pidfd = (ulong)&number,
            child_tid = (ulong)_alive,
            exit_signal = SIGCHLD,
            // clone3 wants one for CLONE_VM; the child never touches it.
            stack = (ulong)_memory.Address,
            stack_size = StepBytes,
            cgroup = (ulong)Math.Max(cgroup, 0),
        };
        long result = Clone(new Step { Number = SYS_clone3, A0 = (nint)(&arguments), A1 = sizeof(clone_args) });
        // Filters of containers answer so, since they cannot see its flags.
        if (result == -ENOSYS && (flags & CLONE_INTO_CGROUP) == 0)
            result = CloneAsBefore(flags, &number);
        pid = (int)result;
        pidfd = result > 0 ? new FileDescriptor(number) : null;
        return result > 0 ? 0 : (int)result;
    }

    private long Clone(Step start)
    {
        var clone = (delegate* unmanaged<Step*, Step*, long>)_code.Address;
        return clone(&start, (Step*)_memory.Address);
    }

    /// <summary>
    /// By clone(2), which cannot clear the caller's signal handlers: the child has them, and every signal blocked,
    /// until its list says otherwise.
    /// </summary>
    private long CloneAsBefore(long flags, int* number)
    {
        ulong all = ulong.MaxValue, before;
        if (rt_sigprocmask(SIG_SETMASK, &all, &before) != 0)
            return -errno;
        long result = Clone(new Step
        {
            Number = SYS_clone, A0 = (nint)(flags | CLONE_VM | CLONE_PIDFD | CLONE_CHILD_CLEARTID | SIGCHLD),
            A1 = (nint)(_memory.Address + StepBytes), A2 = (nint)number, A3 = (nint)_alive,
        });
        return rt_sigprocmask(SIG_SETMASK, &before, null) == 0 ? result : throw HostException.Last("rt_sigprocmask");
    }

    /// <summary>Waits until the child shares this memory no more: it has made its execve, or it has ended.</summary>
    public void WaitUntilGone()
    {
        // The kernel's wake-up is for a shared futex: CLONE_CHILD_CLEARTID.
        while (Volatile.Read(ref *_alive) != 0)
            futex((uint*)_alive, FUTEX_WAIT, 1, null, null, 0);
    }

    /// <summary>
    /// The step that failed and its error number; null when the execve was made. Ask once the child is gone.
    /// </summary>
    public (string Name, int Errno)? Failure
    {
        get
        {
            for (int i = 0; i < _steps; i++)
            {
                long result = StepAt(i).Result;
                if (result < 0 && result != StepAt(i).Tolerated)
                {
                    // An execve that succeeds writes nothing.
                    if (result == NotReached)
                        return i == _steps - 1 ? null : (_names[i], EINTR);
                    return (_names[i], (int)-result);
                }
            }
            return null;
        }
    }

    private ref Step StepAt(int index) => ref ((Step*)_memory.Address)[index];

    private byte* Reserve(nuint bytes)
    {
        byte* place = _memory.At(_used, bytes);
        _used += (bytes + 15) & ~(nuint)15;
        return place;
    }

    /// <summary>The child, if one was started, is gone: see <see cref="WaitUntilGone"/>.</summary>
    public void Dispose()
    {
        _pipe?.Parents.Dispose();
        _pipe?.Childs.Dispose();
        _code.Dispose();
        _memory.Dispose();
    }
}
