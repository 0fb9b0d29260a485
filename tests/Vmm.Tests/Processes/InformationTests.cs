using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Platforms;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Processes;

/// <summary>Identities, limits, names and what is refused: tables of calls and answers.</summary>
public sealed class InformationTests
{
    private const ulong Data = ScriptedGuest.Data;

    /// <summary>Makes calls one after the other in one process, and compares the answers.</summary>
    private static void Check(uint uid, params (int Number, ulong A0, ulong A1, ulong A2, ulong A3, long Expected)[] calls)
    {
        using ScriptedGuest guest = new(uid: uid);
        List<string> answers = [], expected = [];
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(expected, answers);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            for (int i = 0; i < calls.Length; i++)
            {
                (int number, ulong a0, ulong a1, ulong a2, ulong a3, long answer) = calls[i];
                yield return cpu.Call(number, a0, a1, a2, a3);
                answers.Add($"{i}: {number} = {cpu.Result}");
                expected.Add($"{i}: {number} = {answer}");
            }
            yield return cpu.Call(SYS_exit_group);
        }
    }

    private const ulong Same = uint.MaxValue;

    [Fact]
    public void A_user_may_only_take_on_ids_it_has() => Check(
        1000,
        (SYS_setuid, 0, 0, 0, 0, -EPERM),
        (SYS_setuid, 1000, 0, 0, 0, 0),
        (SYS_setresuid, Same, 0, Same, 0, -EPERM),
        (SYS_setresuid, Same, Same, Same, 0, 0),
        (SYS_setreuid, 1000, 1000, 0, 0, 0),
        (SYS_setreuid, 5, Same, 0, 0, -EPERM),
        (SYS_setgid, 0, 0, 0, 0, -EPERM),
        (SYS_setgroups, 0, 0, 0, 0, -EPERM),
        (SYS_setfsuid, 7, 0, 0, 0, 1000),
        (SYS_setfsuid, 7, 0, 0, 0, 1000),
        (SYS_getuid, 0, 0, 0, 0, 1000));

    [Fact]
    public void The_superuser_gives_its_power_up_for_good() => Check(
        0,
        (SYS_setgroups, 65537, Data, 0, 0, -EINVAL),
        (SYS_setgroups, 2, Data, 0, 0, 0),
        (SYS_getgroups, 0, 0, 0, 0, 2),
        (SYS_getgroups, 1, Data, 0, 0, -EINVAL),
        (SYS_setresuid, 5, 6, 7, 0, 0),
        (SYS_geteuid, 0, 0, 0, 0, 6),
        (SYS_setuid, 7, 0, 0, 0, 0),
        (SYS_geteuid, 0, 0, 0, 0, 7),
        (SYS_setuid, 0, 0, 0, 0, -EPERM),
        (SYS_setgroups, 0, 0, 0, 0, -EPERM));

    [Fact]
    public void Privileges_are_refused() => Check(
        0,
        (SYS_ptrace, 0, 0, 0, 0, -EPERM),
        (SYS_reboot, 0xfee1dead, 672274793, 0x4321fedc, 0, -EPERM),
        (SYS_sethostname, Data, 3, 0, 0, -EPERM),
        (SYS_iopl, 3, 0, 0, 0, -EPERM),
        (SYS_ioperm, 0, 8, 1, 0, -EPERM),
        (SYS_unshare, CLONE_NEWUSER, 0, 0, 0, -EPERM),
        (SYS_setns, 0, 0, 0, 0, -EPERM),
        (SYS_clock_settime, CLOCK_REALTIME, Data, 0, 0, -EPERM),
        (SYS_settimeofday, Data, 0, 0, 0, -EPERM),
        (SYS_io_uring_setup, 1, Data, 0, 0, -ENOSYS),
        (SYS_bpf, 0, 0, 0, 0, -EPERM),
        (SYS_init_module, 0, 0, 0, 0, -EPERM),
        (SYS_prctl, 9999, 0, 0, 0, -EINVAL),
        (SYS_arch_prctl, 0x5001, 0, 0, 0, -EINVAL),
        (SYS_arch_prctl, ARCH_SET_FS, 0xffff_8000_0000_0000, 0, 0, -EPERM));

    /// <summary>What README names among the known differences.</summary>
    [Fact]
    public void What_there_is_not_is_refused() => Check(
        0,
        (SYS_semget, 0, 1, 0x200, 0, -ENOSYS),
        (SYS_msgget, 0, 0x200, 0, 0, -ENOSYS),
        (SYS_mq_open, Data, O_RDWR | O_CREAT, 0, 0, -ENOSYS),
        (SYS_io_setup, 1, Data, 0, 0, -ENOSYS),
        (SYS_add_key, Data, Data, Data, 0, -ENOSYS),
        (SYS_keyctl, 0, 0, 0, 0, -ENOSYS),
        (SYS_seccomp, 1, 0, Data, 0, -EINVAL),
        (SYS_prctl, PR_SET_SECCOMP, 2, Data, 0, -EINVAL),
        (SYS_unshare, CLONE_NEWNS, 0, 0, 0, -EPERM),
        (SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, -EPERM));

    [Fact]
    public void Bad_addresses_are_EFAULT() => Check(
        1000,
        (SYS_uname, 8, 0, 0, 0, -EFAULT),
        (SYS_sysinfo, 8, 0, 0, 0, -EFAULT),
        (SYS_getrandom, 8, 16, 0, 0, -EFAULT),
        (SYS_getrandom, Data, 16, 64, 0, -EINVAL),
        (SYS_getrusage, 0, 8, 0, 0, -EFAULT),
        (SYS_clock_gettime, CLOCK_MONOTONIC, 8, 0, 0, -EFAULT),
        (SYS_clock_gettime, 77, Data, 0, 0, -EINVAL),
        (SYS_rt_sigaction, SIGUSR1, 8, 0, 8, -EFAULT),
        (SYS_rt_sigaction, SIGKILL, Data, 0, 8, -EINVAL),
        (SYS_rt_sigaction, 65, Data, 0, 8, -EINVAL),
        (SYS_rt_sigaction, SIGUSR1, Data, 0, 4, -EINVAL),
        (SYS_nanosleep, 8, 0, 0, 0, -EFAULT),
        (SYS_wait4, 0, 8, 0, 0, -ECHILD),
        (SYS_clone3, 8, 88, 0, 0, -EFAULT),
        (SYS_clone3, Data, 8, 0, 0, -EINVAL),
        (SYS_clone3, Data, 100_000, 0, 0, -E2BIG));

    [Fact]
    public void Limits_cannot_be_raised_above_the_plan()
    {
        using ScriptedGuest guest = new(uid: 0);
        List<long> answers = [];
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal([0, -EPERM, -EINVAL, 0], answers);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            foreach ((ulong soft, ulong hard) in ((ulong, ulong)[])[(64, 256), (64, 257), (65, 64), (32, 64)])
            {
                cpu.Write(Data, new rlimit64 { rlim_cur = soft, rlim_max = hard });
                yield return cpu.Call(SYS_prlimit64, 0, RLIMIT_NOFILE, Data, 0);
                answers.Add(cpu.Result);
            }
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Fact]
    public unsafe void Names_of_the_system()
    {
        using ScriptedGuest guest = new();
        string[] names = [];
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(
            ["Linux", "guest", LinuxPersonality.KernelRelease, LinuxPersonality.KernelVersion, "x86_64", "(none)"],
            names);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            yield return cpu.Call(SYS_uname, Data);
            names = [.. Enumerable.Range(0, 6).Select(i => Text(cpu, Data + (ulong)i * 65))];
            yield return cpu.Call(SYS_exit_group);
        }

        static string Text(ScriptedCpu cpu, ulong address)
        {
            StringBuilder text = new();
            while (cpu.Read<byte>(address++) is var b and not 0)
                text.Append((char)b);
            return text.ToString();
        }
    }

    [Fact]
    public void A_thread_name_is_cut_at_fifteen_bytes()
    {
        using ScriptedGuest guest = new();
        string name = "";
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal("abcdefghijklmno", name);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            for (int i = 0; i < 26; i++)
                cpu.Write(Data + (ulong)i, (byte)('a' + i));
            yield return cpu.Call(SYS_prctl, PR_SET_NAME, Data);
            name = guest.Personality.FindThread(2)!.Name;
            yield return cpu.Call(SYS_exit_group);
        }
    }

    [Fact]
    public void POSIX_timers_count_as_queued_signals()
    {
        using ScriptedGuest guest = new();
        long last = 0;
        int made = 0;
        ScriptedGuest.Exited(guest.Run(Program));
        Assert.Equal(-EAGAIN, last);
        Assert.Equal(LinuxPersonality.QueuedSignalLimit, made);
        Assert.Equal(0, guest.Personality.QueuedSignals.InUse);

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            while (true)
            {
                yield return cpu.Call(SYS_timer_create, CLOCK_MONOTONIC, 0, Data);
                last = cpu.Result;
                if (last < 0)
                    break;
                made++;
            }
            for (int i = 0; i < made; i++)
                yield return cpu.Call(SYS_timer_delete, (ulong)i);
            yield return cpu.Call(SYS_exit_group);
        }
    }

    /// <summary>Every call of these subsystems with arguments that no program would give: an answer, never a crash.</summary>
    [Fact]
    public void Hostile_arguments_get_answers()
    {
        Random random = new(7);
        ulong[] values =
        [
            0, 1, 2, 3, 8, 16, 64, Data, Data + 1, Data + ScriptedGuest.DataSize - 4, ulong.MaxValue, long.MaxValue,
            int.MaxValue, uint.MaxValue, 0x8000_0000, 1UL << 63, 0x7fff_ffff_f000, 0x7fff_ffff_efff, 0xffff_8000_0000_0000,
        ];
        // Those that end or suspend the caller, or belong to others and need files.
        HashSet<int> skipped =
        [
            SYS_exit, SYS_exit_group, SYS_pause, SYS_rt_sigsuspend, SYS_rt_sigreturn, SYS_execve, SYS_execveat, SYS_fork,
            SYS_vfork, SYS_clone, SYS_clone3, SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_alarm,
            SYS_rt_tgsigqueueinfo, SYS_setitimer, SYS_nanosleep, SYS_clock_nanosleep, SYS_futex, SYS_rt_sigtimedwait,
            SYS_timer_settime, SYS_setrlimit, SYS_prlimit64, SYS_unshare,
        ];
        int[] numbers =
        [
            SYS_wait4, SYS_waitid, SYS_getpgid, SYS_setpgid, SYS_getsid, SYS_pidfd_open, SYS_setns, SYS_arch_prctl,
            SYS_set_robust_list, SYS_get_robust_list, SYS_futex_waitv, SYS_sched_getaffinity, SYS_sched_setaffinity,
            SYS_sched_setscheduler, SYS_sched_getparam, SYS_sched_setparam, SYS_sched_rr_get_interval, SYS_sched_setattr,
            SYS_sched_getattr, SYS_getpriority, SYS_setpriority, SYS_getcpu, SYS_rt_sigaction, SYS_rt_sigprocmask,
            SYS_rt_sigpending, SYS_sigaltstack, SYS_pidfd_send_signal, SYS_restart_syscall, SYS_clock_gettime,
            SYS_clock_getres, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_gettimeofday, SYS_time, SYS_times,
            SYS_getitimer, SYS_timer_create, SYS_timer_gettime, SYS_timer_getoverrun, SYS_timer_delete, SYS_uname,
            SYS_sysinfo, SYS_getrusage, SYS_getrlimit, SYS_prctl, SYS_personality, SYS_kcmp, SYS_setresuid, SYS_getresuid,
            SYS_getgroups, SYS_setgroups, SYS_capget, SYS_capset, SYS_get_mempolicy, SYS_set_mempolicy,
        ];
        using ScriptedGuest guest = new();
        ScriptedGuest.Exited(guest.Run(Program));

        IEnumerable<GuestExit> Program(ScriptedCpu cpu)
        {
            Assert.DoesNotContain(numbers, skipped.Contains);
            ulong Pick() => values[random.Next(values.Length)];
            for (int round = 0; round < 40_000; round++)
            {
                int number = numbers[random.Next(numbers.Length)];
                yield return cpu.Call(number, Pick(), Pick(), Pick(), Pick(), Pick(), Pick());
                Assert.True(
                    cpu.Result is >= 0 or (< 0 and >= -4095) || number is SYS_getpriority, $"{number} = {cpu.Result}");
            }
            yield return cpu.Call(SYS_exit_group);
        }
    }
}
