using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Platforms;
using Xunit;

namespace Sandbox.Vmm.Tests.Kvm;

/// <summary>Calls out of the guest that meet it at an awkward moment.</summary>
public sealed class KvmInterruptTests
{
    /// <summary>
    /// A fault that is on its way to ring 0 when the vCPU leaves must not arrive later, when the vCPU runs something
    /// else. Forgetting all translations makes the way long on nested paging: each page of it is missing.
    /// </summary>
    [Theory]
    [InlineData(new byte[] { 0x48, 0x8b, 0x03 }, GuestExitKind.PageFault, 0)] // mov rax, [rbx]
    [InlineData(new byte[] { 0xcc }, GuestExitKind.Exception, 1)]             // int3
    [InlineData(new byte[] { 0x0f, 0x0b }, GuestExitKind.Exception, 0)]       // ud2
    public void AFaultNeverArrivesAtAnotherInstruction(byte[] fault, GuestExitKind kind, int behind)
    {
        const int elsewhere = 16;
        byte[] code = new byte[32];
        code.AsSpan().Fill(0x90); // nop
        fault.CopyTo(code, 0);
        code[^2] = 0x0f; // syscall
        code[^1] = 0x05;
        using KvmGuest guest = new(code);
        ref GuestRegisters registers = ref guest.Cpu.Registers;
        registers.Rbx = 0x50_0000;
        bool stop = false;
        // A thread of its own: the pool's may all be busy with other tests.
        Thread kicks = new(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                guest.Cpu.Interrupt();
                Thread.Sleep(1);
            }
        });
        kicks.IsBackground = true;
        kicks.Start();
        int interrupted = 0;
        for (long end = Environment.TickCount64 + 2000; Environment.TickCount64 < end || interrupted == 0;)
        {
            guest.Platform.Memory.Slots.ForgetTranslations();
            registers.Rip = KvmGuest.CodeAddress;
            GuestExit exit = guest.Run();
            if (exit.Kind != GuestExitKind.Interrupted)
            {
                Assert.Equal(kind, exit.Kind);
                Assert.Equal(KvmGuest.CodeAddress + (ulong)behind, registers.Rip);
                continue;
            }
            Assert.Equal(KvmGuest.CodeAddress, registers.Rip);
            interrupted++;
            registers.Rip = KvmGuest.CodeAddress + elsewhere;
            do
                exit = guest.Run();
            while (exit.Kind == GuestExitKind.Interrupted);
            Assert.Equal(GuestExitKind.SystemCall, exit.Kind);
        }
        Volatile.Write(ref stop, true);
        kicks.Join();
    }
}
