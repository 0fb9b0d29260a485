using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Sandbox.Gate;

/// <summary>
/// The other system-call gate: where SYSCALL stays at CPL 3, a vCPU whose calls are attended gets this one instead.
/// It writes the call into the exchange page that follows it and waits a little for an answer; without one it leaves
/// as the plain gate does. It runs with the program's own rights, and the page is the program's to scribble on: what
/// is in there is only ever a call that the program could have made, or the result of one.
/// </summary>
/// <remarks>
/// RCX is the return address throughout. The VMM may stop the vCPU anywhere in here, and knows by RIP alone what holds:
/// before <see cref="Offsets.Requested"/> every register is as SYSCALL left it; then R11 is lost and the page has it;
/// from <see cref="Offsets.Answered"/> on the answer counts.
/// </remarks>
static class HandoffCode
{
    // The exchange page. The first line is what both sides watch, the second the call, the third is for the way back.
    public const int Request = 0x00, Attended = 0x04, Result = 0x08;
    public const int Call = 0x40;
    public const int StackPointer = 0x80, Flags = 0x88;

    /// <summary>
    /// Values of <see cref="Request"/>: nothing, a call waits, its answer is there, leave the guest for it.
    /// </summary>
    public const int None = 0, Waiting = 1, Answered = 2, Leave = 3;

    /// <summary>
    /// Turns of the waiting loop before the gate leaves: 0.1 ms or so, a few times what leaving costs, which is more
    /// than most calls take.
    /// </summary>
    private const int Patience = 6000;

    private const int PageSize = 4096;

    /// <param name="Requested">From here on the call is in the page.</param>
    /// <param name="Out">The instruction that leaves.</param>
    /// <param name="Left">RIP when it has.</param>
    /// <param name="Answered">From here on the program has its answer.</param>
    public readonly record struct Offsets(int Requested, int Out, int Left, int Answered, int End);

    public static byte[] Assemble(out Offsets offsets)
    {
        Assembler c = new(64);
        Label leave = c.CreateLabel("leave"), requested = c.CreateLabel("requested"), wait = c.CreateLabel("wait");
        Label forget = c.CreateLabel("forget"), answered = c.CreateLabel("answered"), left = c.CreateLabel("left");
        Label end = c.CreateLabel("end");

        c.AddInstruction(Compare(Attended, 0));
        c.je(leave);
        Store(c, Call, Register.RAX, Register.RDI, Register.RSI, Register.RDX, Register.R10, Register.R8, Register.R9);
        Store(c, StackPointer, Register.RSP, Register.R11);
        c.AddInstruction(Set(Request, Waiting));
        c.Label(ref requested);
        c.mov(r11d, Patience);
        c.Label(ref wait);
        c.pause();
        c.AddInstruction(Compare(Request, Answered));
        c.je(answered);
        c.ja(forget);
        c.dec(r11d);
        c.jne(wait);
        c.Label(ref forget);
        c.AddInstruction(Load(Register.R11, Flags));
        c.Label(ref leave);
        c.@out(Ring0Code.GatePort, al);
        c.Label(ref left);
        // The VMM continues at the caller, never here.
        c.ud2();
        c.Label(ref answered);
        c.AddInstruction(Set(Request, None));
        c.AddInstruction(Load(Register.RAX, Result));
        c.AddInstruction(Instruction.Create(Code.Lea_r64_m, Register.RSP, At(Flags)));
        c.popfq();
        c.AddInstruction(Load(Register.R11, Flags));
        c.AddInstruction(Load(Register.RSP, StackPointer));
        c.jmp(rcx);
        c.Label(ref end);
        c.nop();

        using MemoryStream code = new();
        AssemblerResult result =
            c.Assemble(new StreamCodeWriter(code), 0, BlockEncoderOptions.ReturnNewInstructionOffsets);
        int OffsetOf(Label label) => (int)result.GetLabelRIP(label);
        offsets = new Offsets(OffsetOf(requested), OffsetOf(leave), OffsetOf(left), OffsetOf(answered), OffsetOf(end));
        return code.ToArray();
    }

    private static void Store(Assembler c, int offset, params ReadOnlySpan<Register> registers)
    {
        for (int i = 0; i < registers.Length; i++)
            c.AddInstruction(Instruction.Create(Code.Mov_rm64_r64, At(offset + (i * sizeof(ulong))), registers[i]));
    }

    private static Instruction Load(Register register, int offset) =>
        Instruction.Create(Code.Mov_r64_rm64, register, At(offset));

    private static Instruction Set(int offset, int value) =>
        Instruction.Create(Code.Mov_rm32_imm32, At(offset), value);

    private static Instruction Compare(int offset, int value) =>
        Instruction.Create(Code.Cmp_rm32_imm8, At(offset), value);

    /// <summary>The page after the code, relative to RIP: no register is needed.</summary>
    private static MemoryOperand At(int offset) => new(Register.RIP, PageSize + offset, displSize: 8);
}
