namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>The six argument registers of one system call (rdi, rsi, rdx, r10, r8, r9), copied once from the guest.</summary>
public readonly struct SystemCallArguments(ulong a0, ulong a1, ulong a2, ulong a3, ulong a4, ulong a5)
{
    public readonly ulong A0 = a0, A1 = a1, A2 = a2, A3 = a3, A4 = a4, A5 = a5;

    /// <summary>The low 32 bits of an argument as the kernel's int, the way it reads descriptors and flags.</summary>
    public int Int0 => (int)A0;
    public int Int1 => (int)A1;
    public int Int2 => (int)A2;
    public int Int3 => (int)A3;
    public int Int4 => (int)A4;
    public int Int5 => (int)A5;
}
