using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Platforms;
using Xunit;

namespace Sandbox.Vmm.Tests.Kvm;

public sealed class KvmPlatformTests
{
    [Fact]
    public void SystemCallReachesTheVmmWithRegistersAndReturnsBehindTheInstruction()
    {
        using KvmGuest guest = new(
        [
            0xb8, 0x27, 0x00, 0x00, 0x00, // mov eax, 39
            0xbf, 0x07, 0x00, 0x00, 0x00, // mov edi, 7
            0x0f, 0x05,                   // syscall
            0x89, 0xc3,                   // mov ebx, eax
            0x0f, 0x05,                   // syscall
        ]);
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        Assert.Equal(39UL, guest.Cpu.Registers.Rax);
        Assert.Equal(7UL, guest.Cpu.Registers.Rdi);
        Assert.Equal(KvmGuest.CodeAddress + 12, guest.Cpu.Registers.Rip);
        guest.Cpu.Registers.Rax = 1234;
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        Assert.Equal(1234UL, guest.Cpu.Registers.Rbx);
        Assert.Equal(KvmGuest.CodeAddress + 16, guest.Cpu.Registers.Rip);
        Assert.Equal(KvmGuest.StackTop - 16, guest.Cpu.Registers.Rsp);
    }

    [Theory]
    [InlineData(0x0UL)]               // the null page
    [InlineData(0x123000UL)]          // nothing there
    [InlineData(0x7fff_ffff_f000UL)]  // the last page below the boundary
    [InlineData(0xffff_ff80_0000_0000UL)] // ring 0's IDT
    [InlineData(0xffff_ff80_0000_1000UL)] // ring 0's code
    [InlineData(0xffff_ff80_4000_0000UL)] // page tables
    [InlineData(0xffff_ff80_0000_4000UL)] // a vCPU's page
    public void WhatIsNotMappedForTheProgramFaults(ulong address)
    {
        using KvmGuest guest = new(
        [
            0x48, 0x8b, 0x03, // mov rax, [rbx]
            0x0f, 0x05,       // syscall
        ]);
        guest.Cpu.Registers.Rbx = address;
        GuestExit exit = guest.Run();
        Assert.Equal(GuestExitKind.PageFault, exit.Kind);
        Assert.Equal(address, exit.FaultAddress.Value);
        Assert.Equal(KvmGuest.CodeAddress, guest.Cpu.Registers.Rip);
        Assert.NotEqual(0u, exit.ErrorCode & 4);
    }

    [Theory]
    [InlineData(new byte[] { 0x0f, 0x0b }, 6)]              // ud2
    [InlineData(new byte[] { 0xf4 }, 13)]                   // hlt
    [InlineData(new byte[] { 0xfa }, 13)]                   // cli
    [InlineData(new byte[] { 0x31, 0xc9, 0xf7, 0xf1 }, 0)]  // xor ecx, ecx; div ecx
    [InlineData(new byte[] { 0xe6, 0x80 }, 13)]             // out 0x80, al
    [InlineData(new byte[] { 0xe6, 0x7e }, 13)]             // out 0x7e, al: the gate's own port
    [InlineData(new byte[] { 0xe4, 0x60 }, 13)]             // in al, 0x60
    [InlineData(new byte[] { 0x0f, 0x22, 0xd8 }, 13)]       // mov cr3, rax
    [InlineData(new byte[] { 0x0f, 0x01, 0x38 }, 13)]       // invlpg [rax]
    [InlineData(new byte[] { 0x0f, 0x30 }, 13)]             // wrmsr
    public void InstructionsThatAreNotTheProgramsRaiseTheirException(byte[] code, int vector)
    {
        using KvmGuest guest = new(code);
        GuestExit exit = guest.Run();
        Assert.Equal(GuestExitKind.Exception, exit.Kind);
        Assert.Equal(vector, exit.Vector);
    }

    [Theory]
    [InlineData(new byte[] { 0xe6, 0x7e })] // out 0x7e, al
    [InlineData(new byte[] { 0xe4, 0x7e })] // in al, 0x7e
    [InlineData(new byte[] { 0x6e })]       // outsb
    [InlineData(new byte[] { 0x6c })]       // insb
    public void TheGatesPortIsNotTheProgramsAndLeavesNothingPending(byte[] code)
    {
        using KvmGuest guest = new([.. code, 0x0f, 0x05]);
        ref GuestRegisters registers = ref guest.Cpu.Registers;
        registers.Rax = 0x1234;
        registers.Rdx = 0x7e;
        registers.Rsi = registers.Rdi = KvmGuest.StackTop - 64;
        GuestExit exit = guest.Run();
        Assert.Equal((GuestExitKind.Exception, 13), (exit.Kind, exit.Vector));
        // Where the gate is at CPL 3 the port is open, and KVM executes an OUT before it says so.
        Assert.InRange(registers.Rip, KvmGuest.CodeAddress,
            KvmGuest.CodeAddress + (guest.Platform.SystemCallsStayInUserMode ? (ulong)code.Length : 0));
        registers.Rip = KvmGuest.CodeAddress + (ulong)code.Length;
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        Assert.Equal(KvmGuest.CodeAddress + (ulong)code.Length + 2, registers.Rip);
        Assert.Equal(0x1234UL, registers.Rax);
    }

    [Fact]
    public void AnExceptionKeepsEveryRegister()
    {
        using KvmGuest guest = new(
        [
            0x48, 0x8b, 0x03, // mov rax, [rbx]
            0x0f, 0x05,       // syscall
        ]);
        ref GuestRegisters registers = ref guest.Cpu.Registers;
        registers.Rax = 0x1111;
        registers.Rbx = 0x50_0000;
        registers.Rcx = 0x3333;
        registers.Rdx = 0x4444;
        registers.Rsi = 0x5555;
        registers.Rdi = 0x6666;
        registers.R11 = 0x7777;
        GuestExit exit = guest.Run();
        Assert.Equal(GuestExitKind.PageFault, exit.Kind);
        Assert.Equal(0x1111UL, guest.Cpu.Registers.Rax);
        guest.Map(0x50_0000, Page.Size, Protection.ReadWrite);
        Assert.True(guest.Memory.TryWrite(new VirtualAddress(0x50_0000), 0x8888UL));
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        Assert.Equal(0x8888UL, guest.Cpu.Registers.Rax);
        Assert.Equal(0x4444UL, guest.Cpu.Registers.Rdx);
        Assert.Equal(0x5555UL, guest.Cpu.Registers.Rsi);
        Assert.Equal(0x6666UL, guest.Cpu.Registers.Rdi);
    }

    /// <summary>load; syscall; load; syscall: what the second load sees after the VMM changed memory in between.</summary>
    private static readonly byte[] LoadTwice =
    [
        0x48, 0x8b, 0x03, // mov rax, [rbx]
        0x0f, 0x05,       // syscall
        0x48, 0x8b, 0x03, // mov rax, [rbx]
        0x0f, 0x05,       // syscall
    ];

    private static readonly byte[] StoreTwice =
    [
        0x48, 0x89, 0x13, // mov [rbx], rdx
        0x0f, 0x05,       // syscall
        0x48, 0x89, 0x13, // mov [rbx], rdx
        0x0f, 0x05,       // syscall
    ];

    [Fact]
    public void UnmappedMemoryFaultsAfterItWasUsed()
    {
        using KvmGuest guest = new(LoadTwice);
        guest.Map(0x50_0000, Page.Size, Protection.ReadWrite);
        guest.Cpu.Registers.Rbx = 0x50_0000;
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        Assert.Equal(0, guest.Memory.Unmap(new VirtualAddress(0x50_0000), Page.Size));
        Assert.Equal(GuestExitKind.PageFault, guest.Run().Kind);
    }

    [Fact]
    public void MemoryMadeReadOnlyFaultsOnTheNextWriteAndWorksAgainWhenWidened()
    {
        using KvmGuest guest = new(StoreTwice);
        guest.Map(0x50_0000, Page.Size, Protection.ReadWrite);
        guest.Cpu.Registers.Rbx = 0x50_0000;
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        Assert.Equal(0, guest.Memory.Protect(new VirtualAddress(0x50_0000), Page.Size, Protection.Read));
        GuestExit exit = guest.Run();
        Assert.Equal(GuestExitKind.PageFault, exit.Kind);
        Assert.Equal(7u, exit.ErrorCode & 7);
        Assert.Equal(0, guest.Memory.Protect(new VirtualAddress(0x50_0000), Page.Size, Protection.ReadWrite));
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
    }

    [Fact]
    public void MemoryKeepsItsContentThroughProtNone()
    {
        using KvmGuest guest = new(LoadTwice);
        guest.Map(0x50_0000, Page.Size, Protection.ReadWrite);
        Assert.True(guest.Memory.TryWrite(new VirtualAddress(0x50_0000), 42UL));
        guest.Cpu.Registers.Rbx = 0x50_0000;
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        Assert.Equal(0, guest.Memory.Protect(new VirtualAddress(0x50_0000), Page.Size, Protection.None));
        Assert.Equal(GuestExitKind.PageFault, guest.Run().Kind);
        Assert.Equal(0, guest.Memory.Protect(new VirtualAddress(0x50_0000), Page.Size, Protection.Read));
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        Assert.Equal(42UL, guest.Cpu.Registers.Rax);
    }

    [Fact]
    public void MemoryWithoutExecuteIsNotExecuted()
    {
        using KvmGuest guest = new([0xff, 0xe3]); // jmp rbx
        guest.Map(0x50_0000, Page.Size, Protection.ReadWrite);
        Assert.True(guest.Memory.TryWrite(new VirtualAddress(0x50_0000), (ushort)0x050f));
        guest.Cpu.Registers.Rbx = 0x50_0000;
        GuestExit exit = guest.Run();
        Assert.Equal(GuestExitKind.PageFault, exit.Kind);
        Assert.NotEqual(0u, exit.ErrorCode & 16);
    }

    [Fact]
    public void AWriteByTheVmmIntoACopyOnWritePageIsSeenByTheProgramThatReadItBefore()
    {
        using KvmGuest guest = new(LoadTwice);
        guest.Map(0x50_0000, Page.Size, Protection.ReadWrite);
        Assert.True(guest.Memory.TryWrite(new VirtualAddress(0x50_0000), 1UL));
        guest.Cpu.Registers.Rbx = 0x50_0000;
        AddressSpace child = guest.Memory.Fork(guest.Cpu)!;
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        Assert.Equal(1UL, guest.Cpu.Registers.Rax);
        Assert.True(guest.Memory.TryWrite(new VirtualAddress(0x50_0000), 2UL));
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        Assert.Equal(2UL, guest.Cpu.Registers.Rax);
        Assert.True(child.TryRead(new VirtualAddress(0x50_0000), out ulong seen));
        Assert.Equal(1UL, seen);
        child.Release();
    }

    [Fact]
    public void ForkKeepsLaterWritesOfTheParentFromTheChild()
    {
        using KvmGuest guest = new(StoreTwice);
        guest.Map(0x50_0000, Page.Size, Protection.ReadWrite);
        guest.Cpu.Registers.Rbx = 0x50_0000;
        guest.Cpu.Registers.Rdx = 1;
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        AddressSpace child = guest.Memory.Fork(guest.Cpu)!;
        guest.Cpu.Registers.Rdx = 2;
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        Assert.True(child.TryRead(new VirtualAddress(0x50_0000), out ulong inChild));
        Assert.Equal(1UL, inChild);
        Assert.True(guest.Memory.TryRead(new VirtualAddress(0x50_0000), out ulong inParent));
        Assert.Equal(2UL, inParent);
        child.Release();
    }

    [Fact]
    public void TableEditsBeyondTheBatchLimitAreAllNoticed()
    {
        const int Pages = PageTableEdits.EntryLimit + 100;
        using KvmGuest guest = new(
        [
            0x48, 0x89, 0xf9,                         // mov rcx, rdi
            0x48, 0x89, 0xd8,                         // mov rax, rbx
            0x48, 0x8b, 0x10,                         // 1: mov rdx, [rax]
            0x48, 0x05, 0x00, 0x10, 0x00, 0x00,       // add rax, 4096
            0xe2, 0xf5,                               // loop 1b
            0x0f, 0x05,                               // syscall
            0xeb, 0xeb,                               // jmp to the start
        ]);
        guest.Map(0x100_0000, Pages * Page.Size, Protection.ReadWrite);
        guest.Cpu.Registers.Rbx = 0x100_0000;
        guest.Cpu.Registers.Rdi = Pages;
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        Assert.Equal(0, guest.Memory.Unmap(new VirtualAddress(0x100_0000 + Page.Size), (Pages - 1) * Page.Size));
        guest.Cpu.Registers.Rdi = Pages;
        GuestExit exit = guest.Run();
        Assert.Equal(GuestExitKind.PageFault, exit.Kind);
        Assert.Equal(0x100_0000UL + Page.Size, exit.FaultAddress.Value);
    }

    [Fact]
    public void AnEndlessLoopIsInterruptedFromOutside()
    {
        using KvmGuest guest = new([0xeb, 0xfe]); // jmp .
        for (int i = 0; i < 20; i++)
        {
            Thread other = new(() => { Thread.Sleep(2); guest.Cpu.Interrupt(); });
            other.Start();
            Assert.Equal(GuestExitKind.Interrupted, guest.Run().Kind);
            Assert.Equal(KvmGuest.CodeAddress, guest.Cpu.Registers.Rip);
            other.Join();
        }
    }

    [Fact]
    public void InterruptionsNeverLoseASystemCallOrARegister()
    {
        using KvmGuest guest = new(
        [
            0x48, 0xff, 0xc3, // 1: inc rbx
            0x0f, 0x05,       // syscall
            0xeb, 0xf9,       // jmp 1b
        ]);
        bool stop = false;
        Thread other = new(() => { while (!Volatile.Read(ref stop)) { guest.Cpu.Interrupt(); Thread.SpinWait(Random.Shared.Next(20_000)); } });
        other.Start();
        ulong calls = 0;
        while (calls < 2000)
        {
            GuestExit exit = guest.Run();
            if (exit.Kind == GuestExitKind.Interrupted)
                continue;
            Assert.Equal(GuestExitKind.SystemCall, exit.Kind);
            calls++;
            Assert.Equal(calls, guest.Cpu.Registers.Rbx);
            guest.Cpu.Registers.Rax = calls;
        }
        Volatile.Write(ref stop, true);
        other.Join();
    }

    [Fact]
    public void ExitsAllocateNothing()
    {
        using KvmGuest guest = new([0x0f, 0x05, 0xeb, 0xfc]); // 1: syscall; jmp 1b
        for (int i = 0; i < 100; i++)
            guest.Run();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 20_000; i++)
            guest.Cpu.Run();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void ProcessorsOfOneSpaceSeeWhatAnotherOneUnmapped()
    {
        // 1: mov rax, [rbx]; jmp 1b
        using KvmGuest guest = new([0x48, 0x8b, 0x03, 0xeb, 0xfb, 0x90, 0x90, 0x90, 0x0f, 0x05, 0xeb, 0xfc]);
        guest.Map(0x50_0000, Page.Size, Protection.ReadWrite);
        VirtualCpu second = guest.Start(KvmGuest.CodeAddress);
        second.Registers.Rbx = 0x50_0000;
        GuestExit seen = default;
        Thread reader = new(() =>
        {
            do
                seen = second.Run();
            while (seen.Kind == GuestExitKind.Interrupted
                || (seen.Kind == GuestExitKind.PageFault && guest.Memory.HandleFault(seen.FaultAddress,
                    (seen.ErrorCode & 2) != 0, (seen.ErrorCode & 16) != 0) == FaultResult.Resolved));
        });
        reader.Start();
        Thread.Sleep(20);
        guest.Cpu.Registers.Rip = KvmGuest.CodeAddress + 8;
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        Assert.Equal(0, guest.Memory.Unmap(new VirtualAddress(0x50_0000), Page.Size));
        Assert.Equal(GuestExitKind.SystemCall, guest.Run().Kind);
        Assert.True(reader.Join(5000), "the other processor still reads what is gone");
        Assert.Equal(GuestExitKind.PageFault, seen.Kind);
        guest.Platform.ReturnCpu(second);
    }

    [Fact]
    public void AProcessorThatNeverLeavesTheGuestLosesThePagesOfAnObjectThatAnotherProcessShortens()
    {
        using KvmGuest guest = new([0x48, 0x8b, 0x03, 0xeb, 0xfb]); // 1: mov rax, [rbx]; jmp 1b
        PagedObject shared = guest.Platform.Memory.CreateObject("object", 1, 1, quota: null);
        shared.SetLength(Page.Size);
        Assert.Equal(0x50_0000, guest.Memory.Map(
            new VirtualAddress(0x50_0000), Page.Size, Protection.ReadWrite, Libc.MAP_SHARED | Libc.MAP_FIXED, shared, 0));
        guest.Cpu.Registers.Rbx = 0x50_0000;
        FaultResult last = FaultResult.Resolved;
        Thread reader = new(() =>
        {
            while (last == FaultResult.Resolved)
            {
                GuestExit exit = guest.Cpu.Run();
                if (exit.Kind == GuestExitKind.PageFault)
                    last = guest.Memory.HandleFault(exit.FaultAddress, (exit.ErrorCode & 2) != 0, (exit.ErrorCode & 16) != 0);
            }
        })
        { IsBackground = true };
        reader.Start();
        Thread.Sleep(20);
        Assert.Equal(0, shared.SetLength(0));
        Assert.True(reader.Join(5000), "the processor still reads what is gone");
        Assert.Equal(FaultResult.NoBacking, last);
    }

    [Fact]
    public void AProcessorWithoutRoomForItsPageTableIsRefusedAndNoneIsLost()
    {
        const int InFirstTable = 508;
        using KvmGuest guest = new([0xf4]);
        List<VirtualCpu> cpus = [];
        for (int i = 1; i < InFirstTable; i++)
            cpus.Add(guest.Platform.RentCpu());
        while (!guest.Platform.Memory.Pool.AllocatePage().IsNone)
        {
        }
        for (int i = 0; i < 3; i++)
            Assert.Equal(Libc.EAGAIN, Assert.Throws<HostException>(() => guest.Platform.RentCpu()).Errno);
        foreach (VirtualCpu cpu in cpus)
            guest.Platform.ReturnCpu(cpu);
        guest.Platform.ReturnCpu(guest.Platform.RentCpu());
    }

    [Fact]
    public void ExtendedStateIsSavedAndRestored()
    {
        using KvmGuest guest = new(
        [
            0x66, 0x48, 0x0f, 0x6e, 0xc3, // movq xmm0, rbx
            0x0f, 0x05,                   // syscall
            0x66, 0x48, 0x0f, 0x7e, 0xc0, // movq rax, xmm0
            0x0f, 0x05,                   // syscall
        ]);
        guest.Cpu.Registers.Rbx = 0x1234_5678_9abc;
        guest.Run();
        byte[] state = new byte[VirtualCpu.ExtendedStateSize];
        guest.Cpu.SaveExtendedState(state);
        Assert.Equal(0x1234_5678_9abcUL, BitConverter.ToUInt64(state, 160));
        BitConverter.TryWriteBytes(state.AsSpan(160), 77UL);
        Assert.True(guest.Cpu.TryLoadExtendedState(state));
        guest.Run();
        Assert.Equal(77UL, guest.Cpu.Registers.Rax);
        BitConverter.TryWriteBytes(state.AsSpan(24), 0xffff_ffffu); // reserved bits of MXCSR
        Assert.False(guest.Cpu.TryLoadExtendedState(state));
    }
}
