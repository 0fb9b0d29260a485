using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Sandbox.Gate;

/// <summary>
/// Everything that ever runs at CPL 0 in a process guest's VM, and the system-call gate. It fits one page of each.
/// Where instructions of CPL 0 are emulated, each costs half a microsecond, so there are as few as can be: the VMM
/// does all work, by writing registers and the stack frame of the ring-0 stack before it resumes the VM.
/// </summary>
static class Ring0Code
{
    /// <summary>Stub of vector v begins at v * StubSize.</summary>
    public const int StubSize = 16;
    public const int StubCount = 32;
    public const int PageFaultVector = 14;

    /// <summary>Port of the system-call gate: the only one that user code may reach, by the TSS's bitmap.</summary>
    public const int GatePort = 0x7e;

    /// <summary>Vector v leaves through this port plus v.</summary>
    public const int ExceptionPort = 0x80;

    public const int EditsDonePort = 0xa0;

    public const int EditOffset = StubSize * StubCount;

    /// <summary>The exception stubs and the page-table edit routine: supervisor pages on every host.</summary>
    public static byte[] Assemble(out int returnOffset)
    {
        using MemoryStream code = new();
        for (int vector = 0; vector < StubCount; vector++)
        {
            Pad(code, vector * StubSize);
            Assembler stub = new(64);
            if (vector == PageFaultVector)
            {
                // The processor has pushed SS, RSP, RFLAGS, CS, RIP and the error code on the vCPU's own stack. RAX
                // goes below them to make room for the address; the VMM puts it back when it resumes.
                stub.push(rax);
                stub.mov(rax, cr2);
            }
            stub.@out((byte)(ExceptionPort + vector), al);
            Emit(stub, code);
        }
        Pad(code, EditOffset);
        Emit(Edit(), code);
        returnOffset = (int)code.Length;
        Assembler back = new(64);
        // Every return to user mode from here: the VMM has written the frame that RSP points to.
        back.iretq();
        Emit(back, code);
        return code.ToArray();
    }

    /// <summary>
    /// Rewrites page-table entries with the values that they already have. The host has changed them; a hypervisor
    /// that shadows the tables only notices writes by the guest. RDX points to (address, count) pairs, ended by 0.
    /// </summary>
    private static Assembler Edit()
    {
        Assembler c = new(64);
        Label next = c.CreateLabel();
        Label done = c.CreateLabel();
        c.Label(ref next);
        c.mov(rdi, __[rdx]);
        c.test(rdi, rdi);
        c.je(done);
        c.mov(rcx, __[rdx + 8]);
        c.mov(rsi, rdi);
        c.rep.movsq();
        c.add(rdx, 16);
        c.jmp(next);
        c.Label(ref done);
        c.mov(rax, cr3);
        c.mov(cr3, rax);
        c.@out(EditsDonePort, al);
        return c;
    }

    /// <summary>
    /// Where LSTAR points. With hardware virtualization SYSCALL arrives here at CPL 0 and SYSRET goes back, unless the
    /// VMM chooses another way. On paravirtual KVM it arrives at CPL 3 and the VMM always continues at the caller.
    /// No stack is touched: RSP is still the program's.
    /// </summary>
    public static byte[] AssembleGate(out int returnOffset, out int probeOffset)
    {
        using MemoryStream code = new();
        Assembler gate = new(64);
        gate.@out(GatePort, al);
        Emit(gate, code);
        returnOffset = (int)code.Length;
        Assembler back = new(64);
        back.sysretq();
        Emit(back, code);
        // Run once by the VMM before any guest code exists, to learn at which CPL a SYSCALL arrives, and how the
        // guest's time-stamp counter relates to the host's.
        probeOffset = (int)code.Length;
        Assembler probe = new(64);
        probe.rdtsc();
        probe.syscall();
        Emit(probe, code);
        return code.ToArray();
    }

    private static void Emit(Assembler assembler, MemoryStream code) =>
        assembler.Assemble(new StreamCodeWriter(code), (ulong)code.Length);

    private static void Pad(MemoryStream code, int offset)
    {
        if (code.Length > offset)
            throw new InvalidOperationException($"the code before 0x{offset:x} is too long");
        while (code.Length < offset)
            code.WriteByte(0xcc);
    }
}
