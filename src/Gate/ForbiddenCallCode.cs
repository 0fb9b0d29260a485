using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Sandbox.Gate;

/// <summary>
/// void forbidden_call(int, siginfo_t *, void *): what SIGSYS runs in a VMM whose filter has stopped a system call. It
/// tells the supervisor which, and ends the process.
/// </summary>
/// <remarks>
/// A managed handler could wait for whatever the stopped thread holds. This one needs its stack, the channel's
/// descriptor and one system call.
/// </remarks>
static class ForbiddenCallCode
{
    // ChannelMessage, and what says in it that the VMM has failed by a forbidden call.
    public const int Version = 1, Ended = 17, Failed = 9, ForbiddenCall = 8, Channel = 3, MessageSize = 32;

    private const int SendTo = 44, NoSignalNoWait = 0x4040;

    /// <summary>A number of the x32 ABI: filters end the process for every one.</summary>
    private const int Deadly = 0x4000_0000;

    // siginfo_t.si_syscall; uc_mcontext's rdi and rsi in a ucontext_t.
    private const int StoppedNumber = 24, FirstArgument = 104, SecondArgument = 112;

    public static byte[] Assemble()
    {
        Assembler c = new(64);
        c.sub(rsp, MessageSize + 8);
        c.mov(__dword_ptr[rsp], Version);
        c.mov(__dword_ptr[rsp + 4], Ended);
        c.mov(__dword_ptr[rsp + 8], Failed);
        c.mov(eax, __dword_ptr[rdx + SecondArgument]);
        c.mov(__dword_ptr[rsp + 12], eax);
        c.mov(eax, __dword_ptr[rsi + StoppedNumber]);
        c.mov(__dword_ptr[rsp + 16], eax);
        c.mov(eax, __dword_ptr[rdx + FirstArgument]);
        c.mov(__dword_ptr[rsp + 20], eax);
        c.mov(__qword_ptr[rsp + 24], ForbiddenCall);
        c.mov(edi, Channel);
        c.mov(rsi, rsp);
        c.mov(edx, MessageSize);
        c.mov(r10d, NoSignalNoWait);
        c.xor(r8d, r8d);
        c.xor(r9d, r9d);
        c.mov(eax, SendTo);
        c.syscall();
        c.mov(eax, Deadly);
        c.syscall();
        c.hlt();
        using MemoryStream code = new();
        c.Assemble(new StreamCodeWriter(code), 0);
        return code.ToArray();
    }
}
