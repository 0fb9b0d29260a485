using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Personality.Time;
using Sandbox.Vmm.Personality.Trace;
using Sandbox.Vmm.Platforms;
using Sandbox.Vmm.Tests.Ipc;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Processes;

/// <summary>--trace: the lines that a guest's calls, signals and end make.</summary>
public sealed class TraceTests
{
    private const ulong Data = ScriptedGuest.Data;

    private static string[] Trace(Func<ScriptedGuest, Routine> program)
    {
        using FileDescriptor output = FileDescriptor.CreateMemory("trace", 0);
        using ScriptedGuest guest = new();
        guest.Personality.TraceTo(output);
        guest.Run(program(guest));
        byte[] text = new byte[64 << 10];
        int length = (int)output.ReadAt(text, 0);
        return Encoding.UTF8.GetString(text, 0, length).Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    [Fact]
    public void Calls_errors_and_the_exit()
    {
        string[] lines = Trace(_ => Program);
        Assert.Equal(
            [
                "[pid 2] getpid() = 2",
                "[pid 2] nanosleep({tv_sec=0, tv_nsec=1000}, NULL) = 0",
                "[pid 2] kill(999, SIGUSR1) = -1 ESRCH (No such process)",
                "[pid 2] rt_sigprocmask(SIG_BLOCK, [USR1 CHLD], [], 8) = 0",
                "[pid 2] prctl(PR_GET_DUMPABLE, NULL, NULL, NULL, NULL) = 1",
                "[pid 2] clone(CLONE_THREAD, NULL, NULL, NULL, NULL) = -1 EINVAL (Invalid argument)",
                "[pid 2] futex(0x20000000, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, NULL) = 0",
                "[pid 2] syscall_400(0x1, 0x2, NULL, NULL, NULL, NULL) = -1 ENOSYS (Function not implemented)",
                "[pid 2] exit_group(3) = ?",
                "[pid 2] +++ exited with 3 +++",
            ],
            lines);

        static IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_getpid);
            cpu.Write(Data, new timespec { tv_nsec = 1000 });
            yield return cpu.Call(SYS_nanosleep, Data, 0);
            yield return cpu.Call(SYS_kill, 999, SIGUSR1);
            cpu.Write(Data, 1UL << (SIGUSR1 - 1) | 1UL << (SIGCHLD - 1));
            yield return cpu.Call(SYS_rt_sigprocmask, SIG_BLOCK, Data, Data + 8, 8);
            yield return cpu.Call(SYS_prctl, PR_GET_DUMPABLE);
            yield return cpu.Call(SYS_clone, CLONE_THREAD);
            yield return cpu.Call(SYS_futex, Data, FUTEX_WAKE_PRIVATE, 1);
            yield return cpu.Call(400, 1, 2);
            yield return cpu.Call(SYS_exit_group, 3);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(O_NONBLOCK)]
    public void A_reader_who_stalls_keeps_no_timer_waiting(int flags)
    {
        const int pipeBytes = 4096;
        (FileDescriptor read, FileDescriptor write) = FileDescriptor.CreatePipe();
        using (read)
        using (write)
        using (DirectGuest guest = new())
        {
            Assert.Equal(pipeBytes, fcntl(write.Value, F_SETPIPE_SZ, pipeBytes));
            Assert.Equal(0, fcntl(write.Value, F_SETFL, O_WRONLY | flags));
            Assert.Equal(pipeBytes, write.Write(new byte[pipeBytes]));
            Tracer tracer = new(write, guest.Personality);
            tracer.ThreadEnded(guest.Thread, 3 << 8);
            PendingCall timer = PendingCall.Start(() =>
            {
                ((ITimerCallback)tracer).OnTimer();
                return 0;
            });
            Assert.Equal(0, timer.Result());
            // Nor does one that is due while a guest's thread waits for the reader with the lock.
            PendingCall thread = PendingCall.Start(() =>
            {
                tracer.Finish();
                return 0;
            });
            Assert.True(thread.IsWaiting(100));
            timer = PendingCall.Start(() =>
            {
                ((ITimerCallback)tracer).OnTimer();
                return 0;
            });
            Assert.Equal(0, timer.Result());
            byte[] text = new byte[2 * pipeBytes];
            Assert.Equal(pipeBytes, read.Read(text));
            Assert.Equal(0, thread.Result());
            int length = (int)read.Read(text);
            Assert.Equal("[pid 2] +++ exited with 3 +++\n", Encoding.UTF8.GetString(text, 0, length));
            // A reader who has caught up gets the next line from the timer.
            tracer.ThreadEnded(guest.Thread, SIGKILL);
            length = (int)read.Read(text);
            Assert.Equal("[pid 2] +++ killed by SIGKILL +++\n", Encoding.UTF8.GetString(text, 0, length));
        }
    }

    [Fact]
    public void Signals_and_death()
    {
        string[] lines = Trace(_ => Program);
        Assert.Equal(
            [
                "[pid 2] --- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x10} ---",
                "[pid 2] +++ killed by SIGSEGV +++",
            ],
            lines);

        static IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return new(GuestExitKind.PageFault, 0x10, errorCode: 4);
        }
    }

    [Theory]
    [InlineData("o", O_RDONLY, "O_RDONLY")]
    [InlineData("o", O_RDWR | O_CREAT | O_CLOEXEC, "O_RDWR|O_CREAT|O_CLOEXEC")]
    [InlineData("fdflags", O_CLOEXEC, "O_CLOEXEC")]
    [InlineData("fdflags", 0, "0")]
    [InlineData("prot", PROT_READ | PROT_EXEC, "PROT_READ|PROT_EXEC")]
    [InlineData("prot", 0, "PROT_NONE")]
    [InlineData("map", MAP_PRIVATE | MAP_ANONYMOUS | 0x8000_0000, "MAP_PRIVATE|MAP_ANONYMOUS|0x80000000")]
    [InlineData("nothing-of-that-name", 17, "0x11")]
    public void Flags_by_name(string family, ulong value, string expected)
    {
        StringBuilder line = new();
        Personality.Trace.FlagNames.Append(line, family, value);
        Assert.Equal(expected, line.ToString());
    }

    [Theory]
    [InlineData("a\nb", "\"a\\nb\"")]
    [InlineData("\u0001x", "\"\\1x\"")]
    [InlineData("\u00011", "\"\\0011\"")]
    [InlineData("q\"\\", "\"q\\\"\\\\\"")]
    public void Strings_are_quoted(string text, string expected)
    {
        StringBuilder line = new();
        Personality.Trace.ArgumentFormat.AppendQuoted(line, Encoding.Latin1.GetBytes(text), cut: false);
        Assert.Equal(expected, line.ToString());
    }
}
