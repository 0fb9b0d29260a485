using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Personality.Time;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Trace;

/// <summary>
/// --trace: one line per system call, signal and exit, in strace's form. Lines are collected and written in blocks;
/// when the reader does not keep up, the guest waits for it, so that nothing is lost and nothing grows.
/// </summary>
sealed unsafe class Tracer : ITimerCallback
{
    /// <summary>What a pipe that poll(2) calls writable takes without blocking: PIPE_BUF.</summary>
    private const int SafeWrite = 4096;

    private const int FlushBytes = 32 << 10;
    private const long FlushInterval = 100_000_000;
    private const int LineLimit = 2048;

    private readonly FileDescriptor _output;
    private readonly LinuxPersonality _personality;
    private readonly Lock _lock = new();
    private readonly byte[] _buffer = new byte[FlushBytes + LineLimit * 4];
    private int _length;
    private bool _flushScheduled;
    private bool _broken;

    /// <param name="output">Owned by the caller.</param>
    public Tracer(FileDescriptor output, LinuxPersonality personality)
    {
        _output = output;
        _personality = personality;
    }

    /// <summary>The guest's first program, as if something had called execve for it.</summary>
    public void Started(GuestThread thread, string[] arguments, int variables)
    {
        StringBuilder text = new();
        text.Append("execve(");
        ArgumentFormat.AppendQuoted(text, Encoding.UTF8.GetBytes(arguments[0]), cut: false);
        text.Append(", [");
        for (int i = 0; i < Math.Min(arguments.Length, 16); i++)
        {
            text.Append(i > 0 ? ", " : "");
            ArgumentFormat.AppendQuoted(text, Encoding.UTF8.GetBytes(arguments[i]), cut: false);
        }
        text.Append(arguments.Length > 16 ? ", ...]" : "]");
        Write(thread, text.Append($", /* {variables} vars */) = 0").ToString());
    }

    /// <summary>A call begins: what it reads is printed now, since the call may change it.</summary>
    public void Enter(GuestThread thread, uint number, in SystemCallEntry entry, in SystemCallArguments arguments)
    {
        TraceLine line = thread.TraceLine ??= new();
        line.Begin(entry.Name ?? $"syscall_{number}");
        string signature = entry.Handler is null ? UnknownSignature : entry.Signature;
        foreach (Range range in signature.AsSpan().Split(' '))
        {
            ReadOnlySpan<char> word = signature.AsSpan()[range];
            if (!word.IsEmpty && !line.AppendInput(word, thread.Memory, arguments))
                break;
        }
    }

    private const string UnknownSignature = "hex hex hex hex hex hex";

    public void Leave(
        GuestThread thread, uint number, in SystemCallEntry entry, in SystemCallArguments arguments, long result)
    {
        if (thread.TraceLine is not { IsOpen: true } line)
            return;
        string signature = entry.Handler is null ? UnknownSignature : entry.Signature;
        if (number is SYS_exit or SYS_exit_group)
        {
            line.End("?");
        }
        else if (result is <= Restart.System and >= Restart.Block)
        {
            line.AppendOutputs(signature, thread.Memory, arguments, -EINTR);
            line.End(result switch
            {
                Restart.System => "? ERESTARTSYS (To be restarted if SA_RESTART is set)",
                Restart.NoInterrupt => "? ERESTARTNOINTR (To be restarted)",
                Restart.NoHandler => "? ERESTARTNOHAND (To be restarted if no handler)",
                _ => "? ERESTART_RESTARTBLOCK (Interrupted by signal)",
            });
        }
        else if (result == Restart.KeepRegisters)
        {
            line.End(number == SYS_rt_sigreturn ? ((long)thread.Cpu.Registers.Rax).ToString() : "0");
        }
        else
        {
            line.AppendOutputs(signature, thread.Memory, arguments, result);
            line.End(Result(number, result));
        }
        Write(thread, line.Text);
    }

    private static string Result(uint number, long result)
    {
        if (result is < 0 and >= -4095)
            return $"-1 {Errno.Name((int)-result)} ({Errno.Description((int)-result)})";
        // Addresses read better in hex.
        return number is SYS_mmap or SYS_brk or SYS_mremap or SYS_shmat ? $"0x{result:x}" : result.ToString();
    }

    /// <summary>A signal is about to be acted upon. Runs under TaskLock: only collects, never writes.</summary>
    public void Signal(GuestThread thread, in siginfo_t info)
    {
        StringBuilder text = new();
        string name = SignalNames.Of(info.si_signo);
        text.Append("--- ").Append(name).Append(" {si_signo=").Append(name);
        text.Append(", si_code=").Append(SignalNames.Code(info.si_signo, info.si_code));
        if (info.si_code <= 0 || info.si_signo == SIGCHLD)
        {
            text.Append(", si_pid=").Append(info.si_pid).Append(", si_uid=").Append(info.si_uid);
            if (info.si_signo == SIGCHLD && info.si_code > 0)
                text.Append(", si_status=").Append(info.si_status);
        }
        else if (info.si_code != SI_KERNEL || info.si_signo is SIGSEGV or SIGBUS)
        {
            text.Append(", si_addr=");
            ArgumentFormat.AppendPointer(text, info.si_addr);
        }
        text.Append("} ---");
        thread.TracedSignals = thread.TracedSignals is null ? text.ToString() : $"{thread.TracedSignals}\n{text}";
    }

    /// <summary>Writes what <see cref="Signal"/> collected; outside TaskLock.</summary>
    public void FlushSignals(GuestThread thread)
    {
        if (thread.TracedSignals is not { } lines)
            return;
        thread.TracedSignals = null;
        foreach (string line in lines.Split('\n'))
            Write(thread, line);
    }

    public void ThreadEnded(GuestThread thread, int status)
    {
        FlushSignals(thread);
        int signal = WTERMSIG(status);
        Write(thread, signal != 0
            ? $"+++ killed by {SignalNames.Of(signal)} +++" : $"+++ exited with {WEXITSTATUS(status)} +++");
    }

    private void Write(GuestThread thread, string text)
    {
        string line = text.Length > LineLimit ? text[..LineLimit] + "..." : text;
        lock (_lock)
        {
            _length += Encoding.UTF8.GetBytes($"[pid {thread.Tid}] {line}\n", _buffer.AsSpan(_length));
            if (_length >= FlushBytes)
                Flush();
            else if (!_flushScheduled)
                ScheduleFlush();
        }
    }

    private void ScheduleFlush() =>
        _flushScheduled = !_personality.Timers.Schedule(_personality.Clock.After(FlushInterval), this).IsNone;

    /// <summary>Other timers must not wait for the reader: what it does not take at once stays for later.</summary>
    void ITimerCallback.OnTimer()
    {
        // Whoever has the lock may be waiting for the reader.
        if (!_lock.TryEnter())
        {
            ScheduleFlush();
            return;
        }
        try
        {
            int done = 0;
            while (done < _length && !_broken && IsWritable(0))
            {
                int written = TryWrite(_buffer.AsSpan(done, Math.Min(_length - done, SafeWrite)));
                if (written < 0)
                    break;
                done += written;
            }
            _buffer.AsSpan(done, _length - done).CopyTo(_buffer);
            _length -= done;
            _flushScheduled = false;
            if (_length > 0 && !_broken)
                ScheduleFlush();
        }
        finally
        {
            _lock.Exit();
        }
    }

    /// <summary>Writes what is left; at the guest's end.</summary>
    public void Finish()
    {
        lock (_lock)
            Flush();
    }

    /// <summary>Waits for the reader.</summary>
    private void Flush()
    {
        int done = 0;
        while (done < _length && !_broken)
        {
            int written = TryWrite(_buffer.AsSpan(done, _length - done));
            done += Math.Max(written, 0);
            // Whether it blocks is up to whoever else has the open file.
            if (written == -EAGAIN)
                IsWritable(-1);
        }
        _length = 0;
    }

    /// <returns>Bytes written, or a negative errno: -EINTR, -EAGAIN, or that by which the trace has ended.</returns>
    private int TryWrite(ReadOnlySpan<byte> lines)
    {
        nint written = _output.Write(lines);
        // The reader is gone: tracing ends, the guest goes on.
        _broken = written is not (> 0 or -EINTR or -EAGAIN);
        return (int)written;
    }

    private bool IsWritable(int milliseconds)
    {
        pollfd one = new() { fd = _output.Value, events = POLLOUT };
        return poll(&one, 1, milliseconds) > 0;
    }
}
