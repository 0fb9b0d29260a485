using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd.Harness;

/// <summary>
/// A started program, in a process group (or session) of its own, with default signal actions. Unlike the framework's
/// process class it takes any descriptor as a stream, reports signals, and kills exactly what it started.
/// </summary>
sealed unsafe class ChildProcess
{
    static readonly ConcurrentDictionary<int, bool> s_running = new();

    readonly ManualResetEventSlim _ended = new();
    readonly long _started = Stopwatch.GetTimestamp();
    int _status;
    bool _killed;

    ChildProcess(int pid)
    {
        Pid = pid;
        s_running[pid] = true;
        new Thread(Reap) { IsBackground = true, Name = $"wait {pid}" }.Start();
    }

    public int Pid { get; }

    /// <summary>True for a process that this class started and that has not ended yet.</summary>
    public static bool IsRunning(int pid) => s_running.ContainsKey(pid);

    public bool Ended => _ended.IsSet;

    /// <summary>Time from start to end; only after the end.</summary>
    public TimeSpan Wall { get; private set; }

    /// <summary>CPU time of the child and all that it waited for; only after the end.</summary>
    public TimeSpan Cpu { get; private set; }

    /// <summary>The exit status, or 128 plus the signal's number; only after the end.</summary>
    public int Status => WIFEXITED(_status) ? WEXITSTATUS(_status) : 128 + WTERMSIG(_status);

    public static ChildProcess Start(ChildOptions options)
    {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        Check(posix_spawn_file_actions_init(&actions), "posix_spawn_file_actions_init");
        Check(posix_spawnattr_init(&attributes), "posix_spawnattr_init");
        int directory = -1;
        var strings = new NativeStrings();
        try
        {
            directory = open(strings.Add(options.Directory), O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
            Check(directory < 0 ? errno : 0, $"open {options.Directory}");
            if (options.Terminal is string terminal)
            {
                // A session leader without a controlling terminal gets the first one that it opens.
                Check(posix_spawn_file_actions_addopen(&actions, 0, strings.Add(terminal), O_RDWR, 0), "addopen");
                Check(posix_spawn_file_actions_adddup2(&actions, 0, 1), "adddup2");
                Check(posix_spawn_file_actions_adddup2(&actions, 0, 2), "adddup2");
            }
            else
            {
                AddStream(&actions, options.Stdin, 0, strings);
                AddStream(&actions, options.Stdout, 1, strings);
                AddStream(&actions, options.Stderr, 2, strings);
            }

            Check(posix_spawn_file_actions_addfchdir_np(&actions, directory), "addfchdir");
            Check(posix_spawn_file_actions_addclosefrom_np(&actions, 3), "addclosefrom");
            sigset_t every, none = default;
            new Span<byte>(&every, sizeof(sigset_t)).Fill(0xff);
            Check(posix_spawnattr_setsigdefault(&attributes, &every), "setsigdefault");
            Check(posix_spawnattr_setsigmask(&attributes, &none), "setsigmask");
            int group = options.Terminal is null ? POSIX_SPAWN_SETPGROUP : POSIX_SPAWN_SETSID;
            Check(posix_spawnattr_setflags(&attributes,
                (short)(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | group)), "setflags");
            int pid;
            Check(posix_spawn(&pid, strings.Add(options.Path), &actions, &attributes,
                strings.AddArray(options.Arguments), strings.AddArray(options.Environment)), $"start {options.Path}");
            return new ChildProcess(pid);
        }
        finally
        {
            strings.Dispose();
            if (directory >= 0)
                close(directory);
            posix_spawn_file_actions_destroy(&actions);
            posix_spawnattr_destroy(&attributes);
        }
    }

    /// <returns>False when the time ran out; the child was then killed, with its whole group.</returns>
    public bool Wait(TimeSpan limit)
    {
        if (_ended.Wait(limit))
            return true;
        Kill();
        _ended.Wait();
        return false;
    }

    public void Signal(int number)
    {
        if (!Ended)
            kill(Pid, number);
    }

    /// <summary>Kills the child alone, as the kernel or an impatient operator would.</summary>
    public void Kill()
    {
        if (!Ended && !_killed)
        {
            _killed = true;
            kill(Pid, SIGKILL);
        }
    }

    /// <summary>Ends what is left of the child's process group and reaps what thereby became this process's.</summary>
    public void EndGroup()
    {
        kill(-Pid, SIGKILL);
        for (int i = 0; i < 50; i++)
        {
            int status;
            int reaped = waitpid(-Pid, &status, WNOHANG);
            if (reaped < 0)
                return;
            if (reaped == 0)
                Thread.Sleep(2);
        }
    }

    void Reap()
    {
        int status;
        rusage usage = default;
        while (wait4(Pid, &status, 0, &usage) < 0 && errno == EINTR)
        {
        }

        Cpu = Time(usage.ru_utime) + Time(usage.ru_stime);
        Wall = Stopwatch.GetElapsedTime(_started);
        _status = status;
        s_running.TryRemove(Pid, out _);
        _ended.Set();
    }

    static TimeSpan Time(timeval time) => TimeSpan.FromSeconds(time.tv_sec) + TimeSpan.FromMicroseconds(time.tv_usec);

    static void AddStream(posix_spawn_file_actions_t* actions, int descriptor, int stream, NativeStrings strings) =>
        Check(descriptor >= 0
            ? posix_spawn_file_actions_adddup2(actions, descriptor, stream)
            : posix_spawn_file_actions_addopen(actions, stream, strings.Add("/dev/null"), O_RDWR, 0), "stream");

    static void Check(int error, string what)
    {
        if (error != 0)
            throw new InvalidOperationException($"{what}: error {error}");
    }

    /// <summary>Null-terminated strings for one call.</summary>
    sealed class NativeStrings : IDisposable
    {
        readonly List<nint> _blocks = [];

        public byte* Add(string text)
        {
            int length = Encoding.UTF8.GetByteCount(text);
            byte* block = (byte*)Allocate((nuint)length + 1);
            Encoding.UTF8.GetBytes(text, new Span<byte>(block, length));
            block[length] = 0;
            return block;
        }

        public byte** AddArray(IReadOnlyList<string> texts)
        {
            byte** array = (byte**)Allocate((nuint)((texts.Count + 1) * sizeof(byte*)));
            for (int i = 0; i < texts.Count; i++)
                array[i] = Add(texts[i]);
            array[texts.Count] = null;
            return array;
        }

        public void Dispose()
        {
            foreach (nint block in _blocks)
                System.Runtime.InteropServices.NativeMemory.Free((void*)block);
        }

        void* Allocate(nuint size)
        {
            void* block = System.Runtime.InteropServices.NativeMemory.Alloc(size);
            _blocks.Add((nint)block);
            return block;
        }
    }
}
