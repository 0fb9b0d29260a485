using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Sandbox.Gate;

/// <summary>The one piece of code for the VMM itself: it reads the time-stamp counter.</summary>
static class HostTscCode
{
    /// <summary>unsigned long read_tsc(void)</summary>
    public static byte[] Assemble()
    {
        Assembler c = new(64);
        c.lfence();
        c.rdtsc();
        c.shl(rdx, 32);
        c.or(rax, rdx);
        c.ret();
        using MemoryStream code = new();
        c.Assemble(new StreamCodeWriter(code), 0);
        return code.ToArray();
    }
}
