using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Sandbox.Host;

namespace Sandbox.Vmm.Personality.Signals;

/// <summary>
/// What the handler's stack pointer points to: struct rt_sigframe of arch/x86/include/asm/sigframe.h. The XSAVE image
/// lies above it, 64-byte aligned, where <see cref="sigcontext_64.fpstate"/> says.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
struct SignalFrame
{
    /// <summary>Return address: SA_RESTORER's function.</summary>
    public ulong ReturnAddress;
    public ucontext Context;
    public siginfo_t Info;

    public const ulong ContextOffset = sizeof(ulong);

    public static ulong InfoOffset => ContextOffset + (ulong)Unsafe.SizeOf<ucontext>();
}
