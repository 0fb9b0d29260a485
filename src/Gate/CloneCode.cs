using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Sandbox.Gate;

/// <summary>
/// long clone_script(struct step *start, struct step *list): makes one call, clone3(2) or clone(2), for a child that
/// shares the caller's memory and makes a list of system calls, and nothing else, until one of them is an execve.
/// </summary>
/// <remarks>
/// A managed program has threads from its start, so that a forked child can run none of its code: a lock or the garbage
/// collector may be in any state. This child needs no lock, no stack, no thread-local storage and no library.
/// </remarks>
static class CloneCode
{
    // struct step: the number, six arguments, what the call answered, and the one failure that does not matter.
    public const int Number = 0, Arguments = 8, Result = 56, Tolerated = 64, StepSize = 72;

    /// <summary>In place of a number: the end of the list.</summary>
    public const long End = -1;

    /// <summary>The child's exit status when a step failed, or when the list ended without an execve.</summary>
    public const int Failed = 125;

    private const int ExitGroup = 231, LargestErrno = 4095;

    public static byte[] Assemble()
    {
        Assembler c = new(64);
        Label child = c.CreateLabel("child"), next = c.CreateLabel("next"), failed = c.CreateLabel("failed");
        Label exit = c.CreateLabel("exit"), step = c.CreateLabel("step");

        // The kernel keeps it for the child, which has no stack; clone takes five arguments.
        c.mov(r9, rsi);
        c.mov(rcx, rdi);
        c.mov(rax, __qword_ptr[rcx + Number]);
        c.mov(rdi, __qword_ptr[rcx + Arguments]);
        c.mov(rsi, __qword_ptr[rcx + Arguments + 8]);
        c.mov(rdx, __qword_ptr[rcx + Arguments + 16]);
        c.mov(r10, __qword_ptr[rcx + Arguments + 24]);
        c.mov(r8, __qword_ptr[rcx + Arguments + 32]);
        c.syscall();
        c.test(rax, rax);
        c.je(child);
        c.ret();
        c.Label(ref child);
        c.mov(rbx, r9);
        c.Label(ref step);
        c.mov(rax, __qword_ptr[rbx + Number]);
        c.test(rax, rax);
        c.js(exit);
        c.mov(rdi, __qword_ptr[rbx + Arguments]);
        c.mov(rsi, __qword_ptr[rbx + Arguments + 8]);
        c.mov(rdx, __qword_ptr[rbx + Arguments + 16]);
        c.mov(r10, __qword_ptr[rbx + Arguments + 24]);
        c.mov(r8, __qword_ptr[rbx + Arguments + 32]);
        c.mov(r9, __qword_ptr[rbx + Arguments + 40]);
        c.syscall();
        c.mov(__qword_ptr[rbx + Result], rax);
        c.cmp(rax, -LargestErrno);
        c.jae(failed);
        c.Label(ref next);
        c.add(rbx, StepSize);
        c.jmp(step);
        c.Label(ref failed);
        c.cmp(rax, __qword_ptr[rbx + Tolerated]);
        c.je(next);
        c.Label(ref exit);
        c.mov(edi, Failed);
        c.mov(eax, ExitGroup);
        c.syscall();
        c.ud2();

        using MemoryStream code = new();
        c.Assemble(new StreamCodeWriter(code), 0);
        return code.ToArray();
    }
}
