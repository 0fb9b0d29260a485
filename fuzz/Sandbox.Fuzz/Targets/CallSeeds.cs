using Sandbox.Vmm.Personality.SystemCalls;
using static Sandbox.Host.Libc;
using Form = Sandbox.Fuzz.Targets.CallScript.Form;
using Slot = Sandbox.Fuzz.Targets.PreparedMemory.Slot;

namespace Sandbox.Fuzz.Targets;

/// <summary>Small guest programs that use each subsystem as it is meant, for <see cref="SystemCallTarget"/>.</summary>
static class CallSeeds
{
    private sealed class Writer
    {
        private readonly List<byte> _bytes = [];

        public byte[] Bytes => [.. _bytes];

        public Writer Call(int number, params byte[][] arguments)
        {
            _bytes.AddRange([CallScript.Call, (byte)number, (byte)(number >> 8)]);
            for (int i = 0; i < 6; i++)
                _bytes.AddRange(i < arguments.Length ? arguments[i] : [(byte)Form.Zero]);
            return this;
        }

        /// <summary>A call that may wait for another thread.</summary>
        public Writer Patient(int number, params byte[][] arguments)
        {
            int at = _bytes.Count;
            Call(number, arguments);
            _bytes[at] = CallScript.PatientCall;
            return this;
        }

        public Writer StackPointer(byte[] value)
        {
            _bytes.AddRange([CallScript.SetRegister, 0, .. value]);
            return this;
        }

        /// <summary>What follows is what the next thread does.</summary>
        public Writer NextThread()
        {
            _bytes.AddRange(CallScript.Separator);
            return this;
        }

        public Writer Fault(byte kind, byte errorCode, byte[] address)
        {
            _bytes.AddRange([CallScript.Fault, kind, errorCode, .. address]);
            return this;
        }

        public Writer Poke(int slot, int offset, params byte[] bytes)
        {
            int at = slot * PreparedMemory.ObjectSize + offset;
            _bytes.AddRange([CallScript.Poke, (byte)at, (byte)(at >> 8), (byte)bytes.Length, .. bytes]);
            return this;
        }
    }

    private static byte[] N(int value) => value switch
    {
        0 => [(byte)Form.Zero],
        > 0 and < 256 => [(byte)Form.Small, (byte)value],
        < 0 and > -256 => [(byte)Form.Negative, (byte)-value],
        _ => [(byte)Form.Word, .. BitConverter.GetBytes(value)],
    };

    private static byte[] At(int slot) => [(byte)Form.Object, (byte)slot];

    private static byte[] Result(int index) => [(byte)Form.Result, (byte)index];

    private static byte[] Pages(int count) => [(byte)Form.Pages, (byte)count];

    private static readonly byte[] Cwd = [(byte)Form.Constant, 0];

    public static IReadOnlyList<byte[]> Dictionary()
    {
        List<byte[]> words = [];
        SystemCallTable table = new();
        for (int number = 0; number < SystemCallTable.Limit; number++)
            if (table[(ulong)number].Handler is not null)
                words.Add([CallScript.Call, (byte)number, (byte)(number >> 8)]);
        words.Add(CallScript.Separator.ToArray());
        for (int slot = 0; slot < PreparedMemory.ObjectCount; slot++)
            words.Add(At(slot));
        for (int i = 0; i < CallScript.Interesting.Length; i++)
            words.Add([(byte)Form.Constant, (byte)i]);
        for (int i = 0; i < 8; i++)
            words.Add(Result(i));
        return words;
    }

    private const int CallsPerSeed = 16;

    /// <summary>Every call that is served, with arguments of the right kind: few are refused at once.</summary>
    private static IEnumerable<(string Name, byte[] Input)> Everything()
    {
        // These end the script, or wait for what does not come.
        int[] excluded = [SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_vfork, SYS_execve, SYS_execveat];
        SystemCallTable table = new();
        int[] calls = [.. Enumerable.Range(0, SystemCallTable.Limit).Where(n =>
            table[(ulong)n].Handler is not null).Except(excluded)];
        foreach (int[] group in calls.Chunk(CallsPerSeed))
        {
            Writer writer = new Writer()
                .Call(SYS_openat, Cwd, At(Slot.TmpA), N(O_RDWR | O_CREAT), N(0x1b6))
                .Call(SYS_write, Result(0), At(Slot.Text), N(28));
            foreach (int call in group)
            {
                string[] kinds = table[(ulong)call].Signature.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                bool takesSignals = kinds.Any(k => k.StartsWith("sig", StringComparison.Ordinal));
                writer.Call(call, [.. kinds.Select(k => k == "size" && takesSignals ? N(sizeof(ulong)) : Typical(k))]);
            }
            yield return ($"every-{group[0]:d3}", writer.Bytes);
        }
    }

    /// <summary>What an argument of a kind may be; see <see cref="SystemCallEntry"/>.</summary>
    private static byte[] Typical(string kind) => kind switch
    {
        "fd" => Result(0),
        "dirfd" => Cwd,
        "path" => At(Slot.TmpA),
        "str" => At(Slot.TmpB),
        "ptr" or "buf" => At(Slot.Buffer),
        "size" => N(64),
        "mode" => N(0x1ed),
        "timespec" => At(Slot.TimeZero),
        "sigset" => At(Slot.SignalSet),
        "siginfo_in" => At(Slot.SignalInfo),
        "sigaction" => At(Slot.SignalAction),
        "stack" => At(Slot.AlternateStack),
        "rlimit" => At(Slot.ResourceLimit),
        "itimerval" or "itimerspec" => At(Slot.Timer),
        "argv" => At(Slot.ArgumentVector),
        "signal" => N(SIGCHLD),
        "flags:AF" or "flags:SOCK" => N(1),
        "flags:PROT" => N(PROT_READ | PROT_WRITE),
        "flags:MAP" => N(MAP_PRIVATE | MAP_ANONYMOUS),
        _ when kind.EndsWith("_out", StringComparison.Ordinal) => At(Slot.Buffer),
        _ => N(0),
    };

    public static IEnumerable<(string Name, byte[] Input)> All()
    {
        foreach ((string, byte[]) seed in Everything())
            yield return seed;
        yield return ("files", new Writer()
            .Call(SYS_openat, Cwd, At(Slot.TmpA), N(O_RDWR | O_CREAT), N(0x1b6))
            .Call(SYS_write, Result(0), At(Slot.Text), N(28))
            .Call(SYS_lseek, Result(0), N(4), N(SEEK_SET))
            .Call(SYS_read, Result(0), At(Slot.Buffer), N(100))
            .Call(SYS_pwritev, Result(0), At(Slot.IoVector), N(2), N(8))
            .Call(SYS_ftruncate, Result(0), N(5000))
            .Call(SYS_fstat, Result(0), At(Slot.Buffer))
            .Call(SYS_fcntl, Result(0), N(F_SETLK), At(Slot.Lock))
            .Call(SYS_mmap, N(0), Pages(2), N(3), N(MAP_SHARED), Result(0), N(0))
            .Call(SYS_fallocate, Result(0), N(0), N(0), Pages(4))
            .Call(SYS_dup3, Result(0), N(20), N(O_CLOEXEC))
            .Call(SYS_rename, At(Slot.TmpA), At(Slot.TmpB))
            .Call(SYS_link, At(Slot.TmpB), At(Slot.TmpA))
            .Call(SYS_unlink, At(Slot.TmpB))
            .Call(SYS_close, Result(0))
            .Bytes);
        yield return ("directories", new Writer()
            .Call(SYS_mkdir, At(Slot.TmpDirectory), N(0x1ed))
            .Call(SYS_chdir, At(Slot.TmpDirectory))
            .Call(SYS_symlinkat, At(Slot.Dot), Cwd, At(Slot.Missing))
            .Call(SYS_openat, Cwd, At(Slot.Proc), N(O_RDONLY | O_DIRECTORY))
            .Call(SYS_getdents64, Result(3), At(Slot.Buffer), N(2000))
            .Call(SYS_getcwd, At(Slot.Buffer), N(200))
            .Call(SYS_readlink, At(Slot.ProcSelf), At(Slot.Buffer), N(100))
            .Call(SYS_openat2, Cwd, At(Slot.ProcMaps), At(Slot.OpenHow), N(24))
            .Call(SYS_read, Result(7), At(Slot.Buffer), N(4000))
            .Call(SYS_statx, Cwd, At(Slot.Root), N(0), N(0xfff), At(Slot.Buffer))
            .Call(SYS_statfs, At(Slot.Root), At(Slot.Buffer))
            .Call(SYS_rmdir, At(Slot.TmpDirectory))
            .Call(SYS_mkdir, At(Slot.Dot), N(0x1ed))
            .Bytes);
        yield return ("pipes", new Writer()
            .Call(SYS_pipe2, At(Slot.Buffer), N(O_NONBLOCK))
            .Call(SYS_write, N(1), At(Slot.Text), N(100))
            .Call(SYS_poll, At(Slot.PollSet), N(3), N(0))
            .Call(SYS_fcntl, N(1), N(F_SETPIPE_SZ), N(8192))
            .Call(SYS_tee, N(0), N(1), N(10), N(0))
            .Call(SYS_splice, N(0), N(0), N(1), N(0), N(10), N(0))
            .Call(SYS_readv, N(0), At(Slot.IoVector), N(3))
            .Call(SYS_ioctl, N(0), N(0x541b), At(Slot.Buffer))
            .Call(SYS_close, N(0))
            .Call(SYS_write, N(1), At(Slot.Text), N(1))
            .Bytes);
        yield return ("sockets", new Writer()
            .Call(SYS_socketpair, N(1), N(1), N(0), At(Slot.Buffer))
            .Call(SYS_sendmsg, N(0), At(Slot.MessageHeader), N(0))
            .Call(SYS_recvmsg, N(1), At(Slot.MessageHeader), N(0))
            .Call(SYS_socket, N(1), N(1), N(0))
            .Call(SYS_bind, Result(3), At(Slot.UnixAddress), N(8))
            .Call(SYS_listen, Result(3), N(4))
            .Call(SYS_socket, N(1), N(1 | O_NONBLOCK), N(0))
            .Call(SYS_connect, Result(6), At(Slot.UnixAddress), N(8))
            .Call(SYS_accept4, Result(3), At(Slot.Buffer), At(Slot.Empty), N(0))
            .Call(SYS_sendto, Result(6), At(Slot.Text), N(20), N(0), N(0), N(0))
            .Call(SYS_getsockopt, N(0), N(1), N(17), At(Slot.Buffer), At(Slot.Lock))
            .Call(SYS_getpeername, Result(6), At(Slot.Buffer), At(Slot.Lock))
            .Call(SYS_shutdown, N(0), N(1))
            .Bytes);
        yield return ("events", new Writer()
            .Call(SYS_epoll_create1, N(0))
            .Call(SYS_eventfd2, N(1), N(O_NONBLOCK))
            .Call(SYS_timerfd_create, N(1), N(0))
            .Call(SYS_timerfd_settime, Result(2), N(0), At(Slot.Timer), N(0))
            .Call(SYS_signalfd4, N(-1), At(Slot.SignalSet), N(8), N(O_NONBLOCK))
            .Call(SYS_epoll_ctl, Result(0), N(1), Result(1), At(Slot.EpollEvent))
            .Call(SYS_epoll_ctl, Result(0), N(1), Result(2), At(Slot.EpollEvent))
            .Call(SYS_epoll_ctl, Result(0), N(1), Result(4), At(Slot.EpollEvent))
            .Call(SYS_epoll_wait, Result(0), At(Slot.Buffer), N(8), N(0))
            .Call(SYS_read, Result(1), At(Slot.Buffer), N(8))
            .Call(SYS_read, Result(4), At(Slot.Buffer), N(128))
            .Call(SYS_epoll_ctl, Result(0), N(2), Result(1), N(0))
            .Call(SYS_pselect6, N(8), At(Slot.EpollEvent), N(0), N(0), At(Slot.TimeZero), N(0))
            .Bytes);
        yield return ("memory", new Writer()
            .Call(SYS_mmap, N(0), Pages(16), N(3), N(MAP_PRIVATE | MAP_ANONYMOUS), N(-1), N(0))
            .Call(SYS_mprotect, Result(0), Pages(4), N(1))
            .Call(SYS_mremap, Result(0), Pages(16), Pages(64), N(1))
            .Call(SYS_madvise, Result(2), Pages(8), N(4))
            .Call(SYS_mincore, Result(2), Pages(8), At(Slot.Buffer))
            .Call(SYS_munmap, Result(2), Pages(3))
            .Call(SYS_brk, N(0))
            .Call(SYS_brk, N(0x1000_4000))
            .Call(SYS_memfd_create, At(Slot.Dot), N(0))
            .Call(SYS_ftruncate, Result(8), Pages(3))
            .Call(SYS_mmap, N(0), Pages(3), N(3), N(MAP_SHARED), Result(8), N(0))
            .Call(SYS_msync, Result(10), Pages(3), N(4))
            .Call(SYS_mlock, Result(10), Pages(1))
            .Fault(0, 6, Result(10))
            .Bytes);
        yield return ("signals", new Writer()
            .Call(SYS_rt_sigaction, N(SIGUSR1), At(Slot.SignalAction), At(Slot.Buffer), N(8))
            .Call(SYS_sigaltstack, At(Slot.AlternateStack), N(0))
            .Call(SYS_getpid)
            .Call(SYS_kill, Result(2), N(SIGUSR1))
            .Call(SYS_rt_sigreturn)
            .Call(SYS_rt_sigprocmask, N(0), At(Slot.SignalSet), At(Slot.Buffer), N(8))
            .Call(SYS_tgkill, Result(2), Result(2), N(SIGUSR1))
            .Call(SYS_rt_sigpending, At(Slot.Buffer), N(8))
            .Call(SYS_rt_sigtimedwait, At(Slot.SignalSet), At(Slot.Buffer), At(Slot.TimeZero), N(8))
            .Call(SYS_rt_sigqueueinfo, Result(2), N(SIGUSR1), At(Slot.SignalInfo))
            .Call(SYS_rt_sigsuspend, At(Slot.SignalSet), N(8))
            .Call(SYS_setitimer, N(0), At(Slot.Timer), At(Slot.Buffer))
            .Call(SYS_timer_create, N(1), N(0), At(Slot.Buffer))
            .Call(SYS_timer_settime, N(0), N(0), At(Slot.Timer), N(0))
            .Call(SYS_nanosleep, At(Slot.Timespec), N(0))
            .Fault(2 | 0 << 2, 0, N(0))
            .Bytes);
        yield return ("processes", new Writer()
            .Call(SYS_fork)
            .Call(SYS_wait4, N(-1), At(Slot.Buffer), N(0), N(0))
            .Call(SYS_clone, N(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD), At(Slot.Buffer), N(0), N(0), N(0))
            .Call(SYS_clone3, At(Slot.CloneArguments), N(88))
            .Call(SYS_waitid, N(0), N(0), At(Slot.Buffer), N(4), N(0))
            .Call(SYS_vfork)
            .Call(SYS_setpgid, N(0), N(0))
            .Call(SYS_setsid)
            .Call(SYS_prctl, N(15), At(Slot.Text))
            .Call(SYS_prlimit64, N(0), N(7), N(0), At(Slot.Buffer))
            .Call(SYS_pidfd_open, Result(0), N(0))
            .Call(SYS_execve, At(Slot.TmpA), At(Slot.ArgumentVector), At(Slot.ArgumentVector))
            .Call(SYS_set_tid_address, At(Slot.Buffer))
            .Call(SYS_exit_group, N(3))
            .Bytes);
        yield return ("execution", new Writer()
            .Poke(Slot.Buffer, 0, "#!/tmp/a x\n"u8.ToArray())
            .Call(SYS_openat, Cwd, At(Slot.TmpA), N(O_RDWR | O_CREAT), N(0x1ff))
            .Call(SYS_write, Result(0), At(Slot.Buffer), N(11))
            .Call(SYS_close, Result(0))
            .Call(SYS_execve, At(Slot.TmpA), At(Slot.ArgumentVector), N(0))
            .Call(SYS_execveat, Cwd, At(Slot.TmpA), N(0), N(0), N(0))
            .Bytes);
        yield return ("futex", new Writer()
            .Call(SYS_futex, At(Slot.Buffer), N(0), N(0), At(Slot.Timespec), N(0), N(0))
            .Call(SYS_futex, At(Slot.Buffer), N(1), N(1))
            .Call(SYS_futex, At(Slot.Buffer), N(9), N(0), At(Slot.TimeZero), N(0), N(-1))
            .Call(SYS_futex, At(Slot.Buffer), N(3), N(1), N(1), At(Slot.Text), N(0))
            .Call(SYS_futex, At(Slot.Buffer), N(5), N(1), N(1), At(Slot.Text), N(0x1000_0001))
            .Call(SYS_set_robust_list, At(Slot.Buffer), N(24))
            .Call(SYS_get_robust_list, N(0), At(Slot.Text), At(Slot.Lock))
            .Bytes);
        yield return ("terminals", new Writer()
            .Call(SYS_openat, Cwd, At(Slot.DevPtmx), N(O_RDWR))
            .Call(SYS_ioctl, Result(0), N(0x40045431), At(Slot.Empty))
            .Call(SYS_ioctl, Result(0), N(unchecked((int)0x80045430)), At(Slot.Buffer))
            .Call(SYS_setsid)
            .Call(SYS_ioctl, Result(0), N(0x5441), N(O_RDWR))
            .Call(SYS_ioctl, Result(4), N(0x540e), N(0))
            .Call(SYS_write, Result(0), At(Slot.Text), N(29))
            .Call(SYS_read, Result(4), At(Slot.Buffer), N(100))
            .Call(SYS_ioctl, Result(4), N(0x5414), At(Slot.WindowSize))
            .Call(SYS_ioctl, Result(4), N(0x5401), At(Slot.Buffer))
            .Call(SYS_ioctl, Result(4), N(0x5402), At(Slot.Buffer))
            .Call(SYS_ioctl, Result(4), N(0x5410), At(Slot.Lock))
            .Bytes);
        yield return ("information", new Writer()
            .Call(SYS_uname, At(Slot.Buffer))
            .Call(SYS_sysinfo, At(Slot.Buffer))
            .Call(SYS_getrandom, At(Slot.Buffer), N(64), N(0))
            .Call(SYS_clock_gettime, N(1), At(Slot.Buffer))
            .Call(SYS_getrusage, N(0), At(Slot.Buffer))
            .Call(SYS_times, At(Slot.Buffer))
            .Call(SYS_sched_getaffinity, N(0), N(128), At(Slot.Buffer))
            .Call(SYS_getgroups, N(16), At(Slot.Buffer))
            .Call(SYS_getresuid, At(Slot.Buffer), At(Slot.Text), At(Slot.Lock))
            .Call(SYS_arch_prctl, N(0x1002), At(Slot.Buffer))
            .Call(500)
            .Bytes);
        yield return ("rights", new Writer()
            .Call(SYS_socketpair, N(1), N(5), N(0), At(Slot.Buffer))
            .Call(SYS_setsockopt, N(1), N(1), N(16), At(Slot.EpollEvent), N(4))
            .Call(SYS_sendmsg, N(0), At(Slot.CredentialsMessage), N(0))
            .Call(SYS_recvmsg, N(1), At(Slot.CredentialsMessage), N(0))
            .Call(SYS_sendmmsg, N(0), At(Slot.MessageVector), N(2), N(0))
            .Call(SYS_recvmmsg, N(1), At(Slot.MessageVector), N(2), N(0), N(0))
            .Poke(Slot.ControlMessage, 0, [24])
            .Poke(Slot.ControlMessage, 16, [0, 0, 0, 0, 1])
            .Call(SYS_sendmsg, N(0), At(Slot.MessageHeader), N(0))
            .Call(SYS_close, N(0))
            .Call(SYS_recvmsg, N(1), At(Slot.MessageHeader), N(2))
            .Call(SYS_close, N(1))
            .Bytes);
        yield return ("datagrams", new Writer()
            .Call(SYS_socket, N(1), N(2), N(0))
            .Call(SYS_bind, Result(0), At(Slot.PathAddress), N(8))
            .Call(SYS_socket, N(1), N(2 | O_NONBLOCK), N(0))
            .Call(SYS_bind, Result(2), At(Slot.UnixAddress), N(2))
            .Call(SYS_sendto, Result(2), At(Slot.Text), N(20), N(0), At(Slot.PathAddress), N(8))
            .Call(SYS_recvfrom, Result(0), At(Slot.Buffer), N(64), N(2), At(Slot.Text), At(Slot.Lock))
            .Call(SYS_recvfrom, Result(0), At(Slot.Buffer), N(4), N(32), At(Slot.Text), At(Slot.Lock))
            .Call(SYS_connect, Result(2), At(Slot.PathAddress), N(8))
            .Call(SYS_getsockname, Result(2), At(Slot.Buffer), At(Slot.Lock))
            .Call(SYS_unlink, At(Slot.TmpSocket))
            .Call(SYS_sendto, Result(2), At(Slot.Text), N(20), N(0), N(0), N(0))
            .Bytes);
        yield return ("threads", new Writer()
            .Call(SYS_clone3, At(Slot.ThreadArguments), N(64))
            .Call(SYS_clone3, At(Slot.ThreadArguments), N(64))
            .Patient(SYS_futex, At(Slot.Buffer), N(0), N(0), N(0), N(0), N(0))
            .Call(SYS_pipe2, At(Slot.Empty), N(0))
            .Patient(SYS_read, N(0), At(Slot.Buffer), N(8))
            .Patient(SYS_futex_waitv, At(Slot.FutexVector), N(2), N(0), N(0), N(1))
            .Call(SYS_tgkill, N(2), Result(1), N(SIGUSR1))
            .NextThread()
            .Call(SYS_futex, At(Slot.Buffer), N(1), N(1))
            .Patient(SYS_write, N(1), At(Slot.Text), N(8))
            .Call(SYS_futex, At(Slot.Buffer), N(3), N(0), N(1), At(Slot.Empty), N(0))
            .Call(SYS_set_robust_list, At(Slot.RobustList), N(24))
            .Call(SYS_munmap, At(Slot.TmpA), Pages(1))
            .Call(SYS_exit, N(0))
            .NextThread()
            .Call(SYS_mprotect, At(Slot.TmpA), Pages(8), N(0))
            .Call(SYS_futex, At(Slot.Buffer), N(6), N(0))
            .Call(SYS_mprotect, At(Slot.TmpA), Pages(8), N(3))
            .Call(SYS_execve, At(Slot.TmpA), N(0), N(0))
            .Bytes);
        yield return ("children", new Writer()
            .Call(SYS_pipe2, At(Slot.Buffer), N(0))
            .Call(SYS_fork)
            .Patient(SYS_read, N(0), At(Slot.Text), N(8))
            .Call(SYS_setpgid, Result(1), Result(1))
            .Call(SYS_kill, Result(1), N(SIGSTOP))
            .Patient(SYS_wait4, N(-1), At(Slot.Buffer), N(3), N(0))
            .Call(SYS_kill, Result(1), N(SIGCONT))
            .Patient(SYS_waitid, N(0), N(0), At(Slot.Buffer), N(12), N(0))
            .Call(SYS_prctl, N(36), N(1))
            .Call(SYS_vfork)
            .Patient(SYS_wait4, N(-1), At(Slot.Buffer), N(0), N(0))
            .NextThread()
            .Patient(SYS_write, N(1), At(Slot.Text), N(8))
            .Call(SYS_fork)
            .Call(SYS_rt_sigaction, N(SIGUSR1), At(Slot.SignalAction), N(0), N(8))
            .Patient(SYS_pause)
            .Call(SYS_exit_group, N(3))
            .NextThread()
            .Call(SYS_setsid)
            .Call(SYS_prctl, N(1), N(SIGUSR1))
            .Patient(SYS_nanosleep, At(Slot.LongTimespec), N(0))
            .Bytes);
        yield return ("program", Program());
        yield return ("return", new Writer()
            .StackPointer(At(Slot.Buffer))
            .Call(SYS_rt_sigreturn)
            .Bytes);
        yield return ("limits", new Writer()
            .Call(SYS_prlimit64, N(0), N(7), At(Slot.ResourceLimit), At(Slot.Buffer))
            .Call(SYS_dup2, N(0), N(9))
            .Call(SYS_timer_create, N(0), At(Slot.SignalEvent), At(Slot.Buffer))
            .Call(SYS_timer_gettime, N(0), At(Slot.Text))
            .Call(SYS_timer_getoverrun, N(0))
            .Call(SYS_timer_delete, N(0))
            .Call(SYS_memfd_create, At(Slot.Dot), N(2))
            .Call(SYS_fcntl, Result(6), N(F_ADD_SEALS), N(F_SEAL_WRITE | F_SEAL_SHRINK))
            .Call(SYS_mmap, N(0), Pages(1), N(3), N(MAP_SHARED), Result(6), N(0))
            .Call(SYS_copy_file_range, Result(6), N(0), Result(6), N(0), N(8), N(0))
            .Call(SYS_close_range, N(0), N(-1), N(4))
            .Bytes);
    }

    /// <summary>
    /// Writes a real program, executes it, and goes on in it: its data are where the script's memory was.
    /// </summary>
    private static byte[] Program()
    {
        byte[] elf = ElfSeeds.WithData(CallScript.Code, CallScript.Data, CallScript.DataSize);
        return new Writer()
            .Poke(Slot.Buffer, 0, elf)
            .Call(SYS_openat, Cwd, At(Slot.TmpA), N(O_RDWR | O_CREAT), N(0x1ff))
            .Call(SYS_write, Result(0), At(Slot.Buffer), N(elf.Length))
            .Call(SYS_close, Result(0))
            .Call(SYS_execve, At(Slot.TmpA), At(Slot.ArgumentVector), N(0))
            .Call(SYS_getcwd, At(Slot.Buffer), N(64))
            .Call(SYS_brk, N(0))
            .Call(SYS_mprotect, At(Slot.TmpA), Pages(1), N(5))
            .Bytes;
    }
}
