using Iced.Intel;
using Sandbox.Vmm.Personality.Loader;
using static Iced.Intel.AssemblerRegisters;

namespace Sandbox.Gate;

/// <summary>
/// The vDSO's functions. All are leaves without a stack frame, so that one unwind entry covers the whole text, and
/// use only registers that the System V ABI lets a callee clobber.
/// </summary>
static class VdsoCode
{
    /// <summary>A place in the text that a symbol names.</summary>
    public readonly record struct Function(string Name, int Offset, int Size);

    // Numbers of x86-64 system calls, for what the page cannot answer.
    private const int SysGettimeofday = 96;
    private const int SysTime = 201;
    private const int SysClockGettime = 228;
    private const int SysGetcpu = 309;

    private const int ClockRealtime = 0;
    private const int NanosecondsPerSecond = 1_000_000_000;

    /// <summary>Everything is assembled as if the image began here; the code holds only relative addresses.</summary>
    private const ulong ImageBase = 0x10_0000;

    private static readonly AssemblerRegister64 Data = r8;
    private static readonly AssemblerRegister64 BaseTime = r9;
    private static readonly AssemblerRegister32 SequenceSeen = r10d;
    private static readonly AssemblerRegister64 Seconds = r11;
    private static readonly AssemblerRegister64 Nanoseconds = rax;

    /// <param name="textOffset">Where in the image the text will lie; a multiple of 16.</param>
    public static byte[] Assemble(int textOffset, out Function[] functions)
    {
        (string Name, Action<Assembler> Emit)[] parts =
        [
            ("clock_gettime", ClockGettime),
            ("gettimeofday", Gettimeofday),
            ("time", Time),
            ("getcpu", Getcpu),
        ];
        using MemoryStream text = new();
        functions = new Function[parts.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            while (text.Length % 16 != 0)
                text.WriteByte(0xcc);
            int start = (int)text.Length;
            Assembler assembler = new(64);
            parts[i].Emit(assembler);
            assembler.Assemble(new StreamCodeWriter(text), ImageBase + (ulong)(textOffset + start));
            functions[i] = new Function(parts[i].Name, start, (int)text.Length - start);
        }
        return text.ToArray();
    }

    /// <summary>int clock_gettime(clockid_t edi, struct timespec *rsi)</summary>
    private static void ClockGettime(Assembler c)
    {
        Label useSystemCall = c.CreateLabel();
        c.cmp(edi, VvarLayout.ClockCount);
        c.jae(useSystemCall);
        c.mov(eax, (int)VvarLayout.ServedClocks);
        c.bt(eax, edi);
        c.jnc(useSystemCall);
        LoadDataAddress(c);
        c.mov(r9d, edi);
        c.shl(r9d, 4);
        c.lea(BaseTime, __[Data + BaseTime + VvarLayout.BaseTimes]);
        ReadClock(c, useSystemCall);
        c.mov(__qword_ptr[rsi], Seconds);
        c.mov(__qword_ptr[rsi + 8], Nanoseconds);
        c.xor(eax, eax);
        c.ret();
        c.Label(ref useSystemCall);
        SystemCall(c, SysClockGettime);
    }

    /// <summary>int gettimeofday(struct timeval *rdi, struct timezone *rsi); either may be null.</summary>
    private static void Gettimeofday(Assembler c)
    {
        Label useSystemCall = c.CreateLabel();
        Label timezone = c.CreateLabel();
        Label done = c.CreateLabel();
        c.test(rdi, rdi);
        c.je(timezone);
        LoadDataAddress(c);
        c.lea(BaseTime, __[Data + (VvarLayout.BaseTimes + ClockRealtime * VvarLayout.BaseTimeSize)]);
        ReadClock(c, useSystemCall);
        // Below 2^30, so a 32-bit division.
        c.mov(ecx, 1000);
        c.xor(edx, edx);
        c.div(ecx);
        c.mov(__qword_ptr[rdi], Seconds);
        c.mov(__qword_ptr[rdi + 8], rax);
        c.Label(ref timezone);
        c.test(rsi, rsi);
        c.je(done);
        // tz_minuteswest and tz_dsttime: nobody sets the kernel's time zone.
        c.mov(__qword_ptr[rsi], 0);
        c.Label(ref done);
        c.xor(eax, eax);
        c.ret();
        c.Label(ref useSystemCall);
        SystemCall(c, SysGettimeofday);
    }

    /// <summary>time_t time(time_t *rdi); the pointer may be null.</summary>
    private static void Time(Assembler c)
    {
        Label useSystemCall = c.CreateLabel();
        Label done = c.CreateLabel();
        LoadDataAddress(c);
        c.lea(BaseTime, __[Data + (VvarLayout.BaseTimes + ClockRealtime * VvarLayout.BaseTimeSize)]);
        ReadClock(c, useSystemCall);
        c.mov(rax, Seconds);
        c.test(rdi, rdi);
        c.je(done);
        c.mov(__qword_ptr[rdi], rax);
        c.Label(ref done);
        c.ret();
        c.Label(ref useSystemCall);
        SystemCall(c, SysTime);
    }

    /// <summary>
    /// int getcpu(unsigned *rdi, unsigned *rsi, void *rdx); the pointers may be null, the third is unused.
    /// </summary>
    private static void Getcpu(Assembler c)
    {
        Label useSystemCall = c.CreateLabel();
        Label store = c.CreateLabel();
        Label node = c.CreateLabel();
        Label done = c.CreateLabel();
        LoadDataAddress(c);
        c.mov(r9d, __dword_ptr[Data + VvarLayout.CpuMode]);
        c.xor(eax, eax);
        c.cmp(r9d, (int)VvarLayout.CpuAlwaysZero);
        c.je(store);
        c.cmp(r9d, (int)VvarLayout.CpuFromSegment);
        c.jne(useSystemCall);
        c.mov(ecx, VvarLayout.CpuSegment);
        c.lsl(eax, ecx);
        c.jne(useSystemCall);
        c.and(eax, 0xfff);
        c.mov(ecx, __dword_ptr[Data + VvarLayout.CpuCount]);
        c.cmp(eax, ecx);
        c.jb(store);
        // The host has more CPUs than the guest: fold.
        c.xor(edx, edx);
        c.div(ecx);
        c.mov(eax, edx);
        c.Label(ref store);
        c.test(rdi, rdi);
        c.je(node);
        c.mov(__dword_ptr[rdi], eax);
        c.Label(ref node);
        c.test(rsi, rsi);
        c.je(done);
        c.mov(__dword_ptr[rsi], 0);
        c.Label(ref done);
        c.xor(eax, eax);
        c.ret();
        c.Label(ref useSystemCall);
        SystemCall(c, SysGetcpu);
    }

    private static void LoadDataAddress(Assembler c) => c.AddInstruction(Instruction.Create(
        Code.Lea_r64_m, Register.R8,
        new MemoryOperand(Register.RIP, Register.None, 1, (long)(ImageBase - VvarLayout.DistanceToImage), 8)));

    /// <summary>
    /// The time of the clock whose base time <see cref="BaseTime"/> points to, in <see cref="Seconds"/> and
    /// <see cref="Nanoseconds"/>. Clobbers rax, rcx, rdx, r10, r11.
    /// </summary>
    private static void ReadClock(Assembler c, Label useSystemCall)
    {
        Label retry = c.CreateLabel();
        Label wait = c.CreateLabel();
        Label forward = c.CreateLabel();
        Label normalised = c.CreateLabel();
        c.jmp(retry);
        c.Label(ref wait);
        c.pause();
        c.Label(ref retry);
        c.mov(SequenceSeen, __dword_ptr[Data + VvarLayout.Sequence]);
        c.test(r10b, 1);
        c.jne(wait);
        c.cmp(__dword_ptr[Data + VvarLayout.ClockMode], (int)VvarLayout.ModeTsc);
        c.jne(useSystemCall);
        // RDTSC may run ahead of earlier loads; it must not be older than the sequence it belongs to.
        c.lfence();
        c.rdtsc();
        c.shl(rdx, 32);
        c.or(rax, rdx);
        // Counters of two CPUs may differ by a few cycles: a reading before the base counts as the base.
        c.sub(rax, __qword_ptr[Data + VvarLayout.CycleLast]);
        c.jae(forward);
        c.xor(eax, eax);
        c.Label(ref forward);
        c.mul(__qword_ptr[Data + VvarLayout.Multiplier]);
        c.mov(ecx, __dword_ptr[Data + VvarLayout.Shift]);
        c.shrd(rax, rdx, cl);
        c.add(Nanoseconds, __qword_ptr[BaseTime + 8]);
        c.mov(Seconds, __qword_ptr[BaseTime]);
        c.cmp(SequenceSeen, __dword_ptr[Data + VvarLayout.Sequence]);
        c.jne(retry);

        c.mov(ecx, NanosecondsPerSecond);
        c.cmp(Nanoseconds, rcx);
        c.jb(normalised);
        c.inc(Seconds);
        c.sub(Nanoseconds, rcx);
        c.cmp(Nanoseconds, rcx);
        c.jb(normalised);
        // The page has not been renewed for more than a second.
        c.xor(edx, edx);
        c.div(rcx);
        c.add(Seconds, rax);
        c.mov(Nanoseconds, rdx);
        c.Label(ref normalised);
    }

    private static void SystemCall(Assembler c, int number)
    {
        c.mov(eax, number);
        c.syscall();
        c.ret();
    }
}
