using System.Runtime.InteropServices;

namespace Sandbox.Policy.Contract;

/// <summary>A leaf of CPUID and what it answers; each is a number of 32 bits.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct CpuidRecord
{
    public ulong Leaf;

    /// <summary>Of a leaf that has several; else 0.</summary>
    public ulong Index;
    public ulong Eax;
    public ulong Ebx;
    public ulong Ecx;
    public ulong Edx;
}
