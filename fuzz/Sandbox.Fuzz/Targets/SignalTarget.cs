using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Platforms;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// Signal frames: a program faults, its handler changes the frame, and returns. A frame that nobody changed restores
/// everything; whatever a changed one holds, the processor is given only what a program may have.
/// </summary>
/// <remarks>
/// Input: action flags (1), alternate stack (1), then rounds of: stack pointer (2), flags (2), a seed for the other
/// registers and the extended state (1), the number of changes (1), and each change: offset from the frame (2), length
/// (1), bytes.
/// </remarks>
sealed class SignalTarget : FuzzTarget
{
    private const int MaximumRounds = 8;

    /// <summary>These programs never wait: only a busy host makes them late.</summary>
    private const long WallMilliseconds = 60_000;

    private readonly HostLeaks _leaks = new();
    private readonly Waker _waker = new();

    public override string Name => "signals";

    public override string Summary => "signal frames that the handler has changed, and their extended state";

    public override int MaximumLength => 2048;

    public override long AllocationLimit => 16 << 20;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        [0x53, 0x50, 0x58, 0x46], [0x45, 0x50, 0x58, 0x46], BitConverter.GetBytes(ulong.MaxValue),
            BitConverter.GetBytes(0x7fff_ffff_f000UL),
        // Where in the frame: fpstate, ip, flags, sp, mask, alternate stack.
        .. new[] { 232, 176, 184, 168, 304, 24, 32, 40 }.Select(offset => BitConverter.GetBytes((ushort)offset)),
    ];

    public override bool Run(ReadOnlySpan<byte> input)
    {
        Program program = new(input.ToArray());
        ScriptedPlatform platform = new(i => i == 0 ? program.Next : null, null);
        ScriptedGuest guest = new(platform);
        guest.Run(_waker, WallMilliseconds);
        _leaks.Check();
        return program.Delivered > 0;
    }

    private sealed class Program(byte[] input)
    {
        private const ulong Handler = 0x41_0000, Restorer = 0x42_0000;
        private const ulong Scratch = CallScript.Data, AlternateStack = CallScript.Data + 0x8000;
        private const int InvalidOpcode = 6;
        private const int RegisterCount = 15;

        private int _position;
        private int _rounds;
        private Step _step;
        private GuestRegisters _before;
        private readonly byte[] _extendedBefore = new byte[VirtualCpu.ExtendedStateSize];
        private ulong _maskBefore;
        private bool _isChanged;

        private enum Step
        {
            Action, Stack, Fault, Handle, Check,
        }

        public int Delivered { get; private set; }

        private static AddressSpace Memory => GuestThread.Current!.Memory;

        public GuestExit Next(ScriptedCpu cpu)
        {
            switch (_step)
            {
                case Step.Action:
                    _step = Step.Stack;
                    return SetAction(cpu);
                case Step.Stack:
                    _step = Step.Fault;
                    return SetStack(cpu);
                case Step.Check:
                    Check(cpu);
                    break;
                case Step.Handle:
                    // A handler that is not entered ends the program: this is one.
                    _step = Step.Check;
                    return Handle(cpu);
            }
            if (_position >= input.Length || _rounds++ == MaximumRounds)
                return CallOf(cpu, SYS_exit_group);
            _step = Step.Handle;
            return Fault(cpu);
        }

        private static GuestExit CallOf(ScriptedCpu cpu, ulong number, ulong a0 = 0, ulong a1 = 0, ulong a2 = 0,
            ulong a3 = 0)
        {
            ref GuestRegisters registers = ref cpu.Registers;
            (registers.Rax, registers.Rdi, registers.Rsi, registers.Rdx, registers.R10) = (number, a0, a1, a2, a3);
            return new GuestExit(GuestExitKind.SystemCall);
        }

        private GuestExit SetAction(ScriptedCpu cpu)
        {
            const uint choices = SA_ONSTACK | SA_NODEFER | SA_RESETHAND;
            byte flags = Byte();
            kernel_sigaction action = new()
            {
                sa_handler = Handler,
                sa_restorer = Restorer,
                sa_flags = SA_SIGINFO | SA_RESTORER | (((uint)flags << 24) & choices),
            };
            Memory.TryWrite(new VirtualAddress(Scratch), action);
            return CallOf(cpu, SYS_rt_sigaction, SIGILL, Scratch, 0, sizeof(ulong));
        }

        private GuestExit SetStack(ScriptedCpu cpu)
        {
            byte choice = Byte();
            stack_t stack = new()
            {
                ss_sp = AlternateStack,
                ss_flags = (choice & 1) != 0 ? SS_DISABLE : (choice & 2) != 0 ? unchecked((int)SS_AUTODISARM) : 0,
                ss_size = (ulong)(choice & 0xfc) << 5,
            };
            Memory.TryWrite(new VirtualAddress(Scratch), stack);
            return CallOf(cpu, SYS_sigaltstack, Scratch);
        }

        private GuestExit Fault(ScriptedCpu cpu)
        {
            const ulong chosenFlags = 0xcd5;
            ref GuestRegisters registers = ref cpu.Registers;
            ulong stack = (ulong)(Byte() | Byte() << 8), flags = (ulong)(Byte() | Byte() << 8);
            byte seed = Byte();
            Span<ulong> all = MemoryMarshal.CreateSpan(ref registers.Rax, RegisterCount + 1);
            for (int i = 0; i < all.Length; i++)
                all[i] = (ulong)(seed + i) * 0x0101_0101_0101_0101;
            registers.Rsp = CallScript.Data + stack;
            registers.Rip = CallScript.Code;
            registers.Rflags = 0x202 | (flags & chosenFlags);
            _before = registers;
            // As a program would have it: any values, all of it in use.
            Span<byte> extended = _extendedBefore;
            extended.Clear();
            extended[..ExtendedState.SoftwareReservedOffset].Fill(seed);
            MemoryMarshal.Write(extended[ExtendedState.MxcsrOffset..], 0x1f80u | seed);
            extended[ExtendedState.LegacySize] = (byte)ScriptedCpu.Components;
            OracleException.Check(cpu.TryLoadExtendedState(extended), "the test's own extended state is refused");
            _maskBefore = GuestThread.Current!.SignalMask;
            return new GuestExit(GuestExitKind.Exception, 0, 0, InvalidOpcode);
        }

        private GuestExit Handle(ScriptedCpu cpu)
        {
            Delivered++;
            ref GuestRegisters registers = ref cpu.Registers;
            OracleException.Check(registers.Rip == Handler && registers.Rdi == SIGILL && registers.Rax == 0,
                "a handler is entered wrongly");
            OracleException.Check((registers.Rsp & 15) == 8, "a handler's stack is not aligned as the ABI says");
            OracleException.Check(Memory.TryRead(new VirtualAddress(registers.Rsp), out SignalFrame frame),
                "a frame that cannot be read");
            OracleException.Check(frame.ReturnAddress == Restorer && frame.Info.si_signo == SIGILL, "another frame");
            OracleException.Check(frame.Context.uc_mcontext.sp == _before.Rsp
                && frame.Context.uc_mcontext.flags == _before.Rflags,
                "a frame of other registers");
            int changes = Byte();
            _isChanged = changes > 0;
            for (int i = 0; i < changes && _position < input.Length; i++)
            {
                ulong offset = (ulong)(Byte() | Byte() << 8) & 0xfff;
                int length = Math.Min(Byte(), input.Length - _position);
                Memory.TryWrite(new VirtualAddress(registers.Rsp + offset), input.AsSpan(_position, length));
                _position += length;
            }
            // The handler's RET took the return address.
            registers.Rsp += sizeof(ulong);
            return CallOf(cpu, SYS_rt_sigreturn);
        }

        private void Check(ScriptedCpu cpu)
        {
            ulong mask = GuestThread.Current!.SignalMask;
            OracleException.Check((mask & (SignalSet.Of(SIGKILL) | SignalSet.Of(SIGSTOP))) == 0,
                "SIGKILL or SIGSTOP is blocked");
            if (_isChanged)
                return;
            ReadOnlySpan<byte> now = MemoryMarshal.AsBytes(new ReadOnlySpan<GuestRegisters>(in cpu.Registers));
            ReadOnlySpan<byte> before = MemoryMarshal.AsBytes(new ReadOnlySpan<GuestRegisters>(in _before));
            OracleException.Check(now.SequenceEqual(before), "registers are not what they were before the signal");
            byte[] extended = new byte[VirtualCpu.ExtendedStateSize];
            cpu.SaveExtendedState(extended);
            OracleException.Check(extended.AsSpan().SequenceEqual(_extendedBefore),
                "the extended state is not what it was before the signal");
            OracleException.Check(mask == _maskBefore, "the signal mask is not what it was before the signal");
        }

        private byte Byte() => _position < input.Length ? input[_position++] : (byte)0;
    }

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        const byte none = 0, one = 1;
        yield return ("untouched", [0, 1, 0x00, 0x40, 0xd5, 0x0c, 7, none, 0x08, 0x41, 0, 0, 9, none]);
        yield return ("alternate-stack", [8, 0xf8, 0x00, 0x40, 0, 0, 3, none, 0x10, 0x40, 0, 0, 4, none]);
        yield return ("autodisarm", [8, 0xfa, 0x00, 0x40, 0, 0, 3, none, 0x00, 0x40, 0, 0, 3, none]);
        yield return ("no-room", [8, 0x40, 0x00, 0x40, 0, 0, 3, none]);
        yield return ("instruction-pointer", [0, 1, 0x00, 0x40, 0, 0, 1, one, 176, 0, 8, 0, 0, 0, 0, 0, 0x80, 0xff,
            0xff]);
        yield return ("flags", [0, 1, 0x00, 0x40, 0, 0, 1, one, 184, 0, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff]);
        yield return ("mask", [0, 1, 0x00, 0x40, 0, 0, 1, one, 0x30, 1, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff]);
        yield return ("no-extended-state", [0, 1, 0x00, 0x40, 0, 0, 1, one, 232, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        yield return ("unmapped-extended-state", [0, 1, 0x00, 0x40, 0, 0, 1, one, 232, 0, 8, 0, 0, 0, 0, 1, 0, 0, 0]);
    }
}
