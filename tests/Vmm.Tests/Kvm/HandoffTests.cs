using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Platforms;
using Sandbox.Vmm.Platforms.Kvm;
using Xunit;

namespace Sandbox.Vmm.Tests.Kvm;

/// <summary>Calls that are answered while the processor waits in the gate, by real machine code.</summary>
public sealed class HandoffTests
{
    private const ulong ExchangePage = Ring0Layout.ExchangeBase + Page.Size;

    // 1: inc rbx; mov edi, ebx; mov eax, 39; syscall; sub rax, rbx; cmp rax, 1; jne 2f; cmp rbx, r12; jne 1b; 2: hlt
    private static readonly byte[] s_countingLoop =
    [
        0x48, 0xff, 0xc3, 0x89, 0xdf, 0xb8, 0x27, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x48, 0x29, 0xd8,
        0x48, 0x83, 0xf8, 0x01, 0x75, 0x05, 0x4c, 0x39, 0xe3, 0x75, 0xe6, 0xf4,
    ];

    /// <summary>A guest whose calls are handed over; hosts whose SYSCALL arrives at CPL 0 have no use for it.</summary>
    private static KvmGuest Start(ReadOnlySpan<byte> code, out CallExchange exchange)
    {
        KvmGuest guest = new(code);
        if (!guest.Platform.SystemCallsStayInUserMode)
        {
            Assert.False(guest.Cpu.TryOpenExchange());
            guest.Dispose();
            Assert.Skip("SYSCALL leaves CPL 3 on this host: exits are cheap, calls are not handed over");
        }
        Assert.True(guest.Cpu.TryOpenExchange());
        exchange = guest.Cpu.Exchange!;
        return guest;
    }

    /// <summary>Answers calls on a thread of its own until told to stop; the answer is the first argument plus one.</summary>
    private sealed class Answering : IDisposable
    {
        private readonly Thread _thread;
        private bool _stop;

        public Answering(VirtualCpu cpu, Func<int, int> choose)
        {
            CallExchange exchange = cpu.Exchange!;
            _thread = new Thread(() =>
            {
                exchange.Attend(true);
                while (!Volatile.Read(ref _stop))
                {
                    if (!exchange.TryTake(out HandedCall call))
                    {
                        // The processor's thread stops relying on who was late; without a free CPU it gets one only so.
                        exchange.Attend(true);
                        Thread.Yield();
                        continue;
                    }
                    if (Taken % 50 == 49)
                        cpu.Interrupt();
                    switch (choose(Taken++))
                    {
                        case 0:
                            exchange.Answer((uint)call.Number, (long)call.A0 + 1);
                            Answered++;
                            break;
                        case 1:
                            exchange.AnswerOutside((uint)call.Number, (long)call.A0 + 1);
                            Answered++;
                            break;
                        default:
                            exchange.HandBack();
                            break;
                    }
                }
                exchange.Attend(false);
            });
            _thread.Start();
        }

        public int Taken { get; private set; }

        public int Answered { get; private set; }

        public void Dispose()
        {
            Volatile.Write(ref _stop, true);
            _thread.Join();
        }
    }

    /// <summary>Runs the counting loop to its end; calls that come by an exit are answered here.</summary>
    private static int RunToEnd(KvmGuest guest, CallExchange exchange)
    {
        int outside = 0;
        while (true)
        {
            GuestExit exit = guest.Run();
            switch (exit.Kind)
            {
                case GuestExitKind.SystemCall:
                    Assert.Equal(39UL, guest.Cpu.Registers.Rax);
                    guest.Cpu.Registers.Rax = guest.Cpu.Registers.Rdi + 1;
                    outside++;
                    break;
                case GuestExitKind.ServedCall:
                    Assert.Equal(39u, exchange.Number);
                    guest.Cpu.Registers.Rax = (ulong)exchange.Result;
                    break;
                case GuestExitKind.Interrupted:
                    break;
                default:
                    Assert.Equal((GuestExitKind.Exception, 13), (exit.Kind, exit.Vector));
                    return outside;
            }
        }
    }

    [Fact]
    public void Calls_are_answered_without_leaving_the_guest()
    {
        using KvmGuest guest = Start(s_countingLoop, out CallExchange exchange);
        guest.Cpu.Registers.R12 = 20_000;
        using Answering answering = new(guest.Cpu, static _ => 0);
        // However busy the host is, some calls are handed over in the end.
        while (true)
        {
            int answeredBefore = answering.Answered;
            int outside = RunToEnd(guest, exchange);
            Assert.Equal(20_000UL, guest.Cpu.Registers.Rbx);
            Assert.Equal(20_000, outside + answering.Answered - answeredBefore);
            if (answering.Answered > 0)
                return;
            guest.Cpu.Registers.Rbx = 0;
            guest.Cpu.Registers.Rip = KvmGuest.CodeAddress;
        }
    }

    [Fact]
    public void No_call_is_lost_or_made_twice_however_it_is_answered_and_interrupted()
    {
        using KvmGuest guest = Start(s_countingLoop, out CallExchange exchange);
        guest.Cpu.Registers.R12 = 5_000;
        bool stop = false;
        Thread kicker = new(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                guest.Cpu.Interrupt();
                Thread.SpinWait(Random.Shared.Next(20_000));
            }
        });
        kicker.Start();
        using Answering answering = new(guest.Cpu, static n => n % 3);
        int outside = RunToEnd(guest, exchange);
        Volatile.Write(ref stop, true);
        kicker.Join();
        Assert.Equal(5_000UL, guest.Cpu.Registers.Rbx);
        Assert.Equal(5_000, outside + answering.Answered);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Every_register_and_flag_is_the_programs_afterwards(int way)
    {
        // Nothing in the loop changes a flag.
        using KvmGuest guest = Start(
        [
            0xfd, 0xf9,                               // std; stc
            0xb8, 0x27, 0x00, 0x00, 0x00,             // 1: mov eax, 39
            0x0f, 0x05,                               // syscall
            0x48, 0x8d, 0x5b, 0xff,                   // lea rbx, [rbx - 1]
            0x48, 0x89, 0xd9,                         // mov rcx, rbx
            0xe3, 0x02,                               // jrcxz 2f
            0xeb, 0xee,                               // jmp 1b
            0xf4,                                     // 2: hlt
        ], out CallExchange exchange);
        ref GuestRegisters r = ref guest.Cpu.Registers;
        r.Rbx = long.MaxValue;
        (r.Rdx, r.Rsi, r.Rdi, r.Rbp) = (0x11, 0x22, 0x33, 0x44);
        (r.R8, r.R9, r.R10, r.R12, r.R13, r.R14, r.R15) = (8, 9, 10, 12, 13, 14, 15);
        ulong stack = r.Rsp;
        using (Answering answering = new(guest.Cpu, _ => way))
        {
            while (answering.Taken < 200)
            {
                GuestExitKind kind = guest.Run().Kind;
                r = ref guest.Cpu.Registers;
                if (kind is GuestExitKind.SystemCall or GuestExitKind.ServedCall)
                    r.Rax = 0x34;
                else
                    Assert.Equal(GuestExitKind.Interrupted, kind);
                Assert.Equal((0x11UL, 0x22UL, 0x33UL, 0x44UL), (r.Rdx, r.Rsi, r.Rdi, r.Rbp));
                Assert.Equal((8UL, 9UL, 10UL, 12UL), (r.R8, r.R9, r.R10, r.R12));
                Assert.Equal((13UL, 14UL, 15UL), (r.R13, r.R14, r.R15));
                Assert.Equal(stack, r.Rsp);
                Assert.Equal(0x401UL, r.Rflags & 0x401); // DF and CF
            }
        }
    }

    [Fact]
    public void A_single_step_traps_behind_the_programs_own_instruction()
    {
        // Set TF with popf, then SYSCALL: on real hardware the trap comes after the instruction that follows it.
        using KvmGuest guest = Start(
        [
            0x9c,                                     // pushf
            0x81, 0x0c, 0x24, 0x00, 0x01, 0x00, 0x00, // or dword [rsp], 0x100
            0xb8, 0x27, 0x00, 0x00, 0x00,             // mov eax, 39
            0x9d,                                     // popf
            0x0f, 0x05,                               // syscall
            0x90, 0x90, 0xf4,                         // nop; nop; hlt
        ], out CallExchange exchange);
        using Answering answering = new(guest.Cpu, static _ => 0);
        for (int i = 0; i < 10; i++)
        {
            GuestExit exit = guest.Run();
            if (exit.Kind == GuestExitKind.SystemCall)
                guest.Cpu.Registers.Rax = 0;
            if (exit.Kind != GuestExitKind.Exception)
                continue;
            Assert.InRange(guest.Cpu.Registers.Rip, KvmGuest.CodeAddress, KvmGuest.CodeAddress + 20);
            if (exit.Vector == 13)
                return;
            Assert.Equal(1, exit.Vector);
        }
        Assert.Fail("the guest did not reach its end");
    }

    [Fact]
    public void A_guest_that_forges_requests_and_answers_only_harms_itself()
    {
        // rsi: the exchange page. Forges requests and answers while it runs, with a real call now and then.
        using KvmGuest guest = Start(
        [
            0xc7, 0x06, 0x01, 0x00, 0x00, 0x00,       // 1: mov dword [rsi], 1
            0xf3, 0x90,                               // pause
            0xc7, 0x06, 0x02, 0x00, 0x00, 0x00,       // mov dword [rsi], 2
            0xf3, 0x90,                               // pause
            0xc7, 0x06, 0x03, 0x00, 0x00, 0x00,       // mov dword [rsi], 3
            0x48, 0xff, 0xc3,                         // inc rbx
            0xf6, 0xc3, 0xff,                         // test bl, 255
            0x75, 0xe2,                               // jne 1b
            0x0f, 0x05,                               // syscall
            0x4c, 0x39, 0xe3,                         // cmp rbx, r12
            0x75, 0xdb,                               // jne 1b
            0xf4,                                     // hlt
        ], out CallExchange exchange);
        guest.Cpu.Registers.Rsi = ExchangePage;
        guest.Cpu.Registers.R12 = 256 * 200;
        using Answering answering = new(guest.Cpu, static n => n % 3);
        while (true)
        {
            GuestExit exit = guest.Run();
            if (exit.Kind is GuestExitKind.SystemCall or GuestExitKind.ServedCall or GuestExitKind.Interrupted)
                continue;
            Assert.Equal((GuestExitKind.Exception, 13), (exit.Kind, exit.Vector));
            break;
        }
        Assert.Equal(256UL * 200, guest.Cpu.Registers.Rbx);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_program_that_goes_round_in_another_processors_gate_is_called_out(bool byMemory)
    {
        using KvmGuest guest = Start([0xff, 0xe1], out _); // jmp rcx
        VirtualCpu astray = guest.Start(KvmGuest.CodeAddress);
        // From there on the gate loads RSP from the page, and goes on at RCX.
        ulong gate = Ring0Layout.ExchangeBase + HandoffBytes.Answered;
        astray.Registers.Rcx = gate;
        List<GuestExit> exits = [];
        Thread running = new(() =>
        {
            exits.Add(guest.Run(astray));
            exits.Add(astray.Run());
        }) { IsBackground = true };
        running.Start();
        while (!astray.IsRunningGuestCode)
            Thread.Yield();
        Thread.Sleep(50);
        Thread calling = new(() =>
        {
            if (byMemory)
                guest.Memory.InterruptOthers(guest.Cpu);
            astray.Interrupt();
        }) { IsBackground = true };
        calling.Start();
        Assert.True(calling.Join(TimeSpan.FromSeconds(30)), "the processor stays in the gate");
        Assert.True(running.Join(TimeSpan.FromSeconds(30)), "the processor does not come out of the gate");
        Assert.Equal(GuestExitKind.Interrupted, exits[0].Kind);
        // It goes no further there.
        Assert.Equal(GuestExitKind.PageFault, exits[1].Kind);
        Assert.InRange(exits[1].FaultAddress.Value, gate, Ring0Layout.ExchangeBase + HandoffBytes.End);
        guest.Platform.ReturnCpu(astray);
    }

    [Fact]
    public void The_exchange_is_out_of_reach_of_system_calls_and_of_other_processes()
    {
        using KvmGuest guest = Start([0x48, 0x8b, 0x06, 0xf4], out _); // mov rax, [rsi]; hlt
        Assert.False(guest.Memory.TryRead(new VirtualAddress(ExchangePage), out ulong _));
        Assert.False(guest.Memory.TryWrite(new VirtualAddress(ExchangePage), 0UL));
        guest.Cpu.Registers.Rsi = ExchangePage;
        Assert.Equal(GuestExitKind.Exception, guest.Run().Kind);

        AddressSpace other = guest.Memory.Fork(guest.Cpu)!;
        guest.Cpu.Attach(other);
        Assert.Null(guest.Cpu.Exchange);
        guest.Cpu.Registers.Rip = KvmGuest.CodeAddress;
        GuestExit exit;
        while ((exit = guest.Cpu.Run()).Kind == GuestExitKind.PageFault && exit.FaultAddress.Value < PageTable.UserLimit)
            Assert.Equal(FaultResult.Resolved,
                other.HandleFault(exit.FaultAddress, (exit.ErrorCode & 2) != 0, (exit.ErrorCode & 16) != 0));
        Assert.Equal(GuestExitKind.PageFault, exit.Kind);
        Assert.Equal(ExchangePage, exit.FaultAddress.Value);
        guest.Cpu.Attach(guest.Memory);
        other.Release();
    }

    [Fact]
    public void Answering_allocates_nothing()
    {
        using KvmGuest guest = Start(s_countingLoop, out CallExchange exchange);
        guest.Cpu.Registers.R12 = ulong.MaxValue;
        long allocated = -1;
        bool done = false;
        Thread attendant = new(() =>
        {
            exchange.Attend(true);
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int taken = 0; taken < 2000;)
            {
                if (!exchange.TryTake(out HandedCall call))
                {
                    exchange.Attend(true);
                    Thread.Yield();
                    continue;
                }
                taken++;
                exchange.Answer((uint)call.Number, (long)call.A0 + 1);
            }
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            exchange.Attend(false);
            Volatile.Write(ref done, true);
            guest.Cpu.Interrupt();
        });
        attendant.Start();
        while (!Volatile.Read(ref done))
        {
            GuestExitKind kind = guest.Run().Kind;
            if (kind != GuestExitKind.Interrupted)
                guest.Cpu.Registers.Rax = guest.Cpu.Registers.Rdi + 1;
            Assert.True(kind is GuestExitKind.Interrupted or GuestExitKind.SystemCall or GuestExitKind.ServedCall, $"{kind}");
        }
        attendant.Join();
        Assert.Equal(0, allocated);
    }
}
