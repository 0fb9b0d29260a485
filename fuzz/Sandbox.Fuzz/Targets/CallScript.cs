using System.Buffers.Binary;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Platforms;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// Reads an input as a guest program: records that write to the guest's memory, make a system call, or fault. Any
/// bytes are a program; where they end, it exits. <see cref="Separator"/>s make programs of an input's parts, for one
/// guest thread each, in the order in which they are made.
/// </summary>
/// <remarks>
/// A record begins with its kind. <see cref="Poke"/>: offset (2 bytes), length (1), bytes. <see cref="Call"/> and
/// <see cref="PatientCall"/>: number (2), then six arguments of a form (1) and what it needs. <see cref="Fault"/>: an
/// exit kind (1), error code (1), and an address as an argument. <see cref="SetRegister"/>: which (1), and an argument.
/// </remarks>
/// <param name="returned">Told the number and the result of each call.</param>
sealed class CallScript(byte[] input, Action<ulong, ulong> returned)
{
    public const ulong Code = 0x40_0000;

    /// <summary>Read-write memory that is there from the start.</summary>
    public const ulong Data = 0x2000_0000;
    public const ulong DataSize = 0x1_0000;

    /// <summary>A page that may only be read, behind the data.</summary>
    public const ulong ReadOnlyPage = Data + DataSize;

    /// <summary>A page that may not be touched, behind that.</summary>
    public const ulong NoAccessPage = ReadOnlyPage + Page.Size;

    public const ulong StackTop = Data + DataSize - 0x1000;

    public const int MaximumRecords = 96;

    public const int MaximumParts = 4;

    public const byte Call = 0x00;
    public const byte SetRegister = 0xd0;

    /// <summary>If it has to wait, it waits for a moment: another thread may do what it waits for.</summary>
    public const byte PatientCall = 0xe0;

    public const byte Poke = 0xf0;
    public const byte Fault = 0xf8;

    public static ReadOnlySpan<byte> Separator => [0xff, 0x00, 0xff];

    /// <summary>How an argument is written down.</summary>
    public enum Form : byte
    {
        Zero,
        /// <summary>One byte.</summary>
        Small,
        /// <summary>One byte, negated.</summary>
        Negative,
        /// <summary>Eight bytes.</summary>
        Raw,
        /// <summary>Four bytes, not extended.</summary>
        Word,
        /// <summary>Two bytes: an offset into the data.</summary>
        Pointer,
        /// <summary>One byte: which of the prepared objects.</summary>
        Object,
        /// <summary>One byte: which of the earlier results.</summary>
        Result,
        /// <summary>One byte: which of <see cref="Interesting"/>.</summary>
        Constant,
        /// <summary>One byte: this far before the end of the data.</summary>
        NearEnd,
        /// <summary>One byte: pages.</summary>
        Pages,
        /// <summary>One byte: a bit.</summary>
        Bit,
        ReadOnly,
        NoAccess,
    }

    public const int FormCount = 14;

    public static readonly ulong[] Interesting =
    [
        unchecked((ulong)AT_FDCWD), ulong.MaxValue, long.MaxValue, unchecked((ulong)long.MinValue), uint.MaxValue, int.MaxValue,
        0x8000_0000, 0x7fff_f000, 0x7fff_ffff_f000, 0x8000_0000_0000, 0xffff_8000_0000_0000, Page.Size, 0xffff, 0x1_0000,
        O_RDWR | O_CREAT, O_DIRECTORY, O_PATH, O_TMPFILE | O_RDWR, O_NONBLOCK | O_CLOEXEC, O_APPEND | O_WRONLY | O_CREAT,
        MAP_PRIVATE | MAP_ANONYMOUS, MAP_SHARED | MAP_ANONYMOUS, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, MAP_SHARED,
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, CLONE_VM | CLONE_VFORK | SIGCHLD,
        SIGCHLD, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, 1_000_000_000, 999_999_999,
    ];

    private readonly List<ulong> _results = [];
    private int _position;
    private int _records;
    private ulong? _called;

    /// <summary>Calls made so far.</summary>
    public int Calls { get; private set; }

    public static byte[][] Split(ReadOnlySpan<byte> input)
    {
        List<byte[]> parts = [];
        int end;
        while (parts.Count < MaximumParts - 1 && (end = input.IndexOf(Separator)) >= 0)
        {
            parts.Add(input[..end].ToArray());
            input = input[(end + Separator.Length)..];
        }
        parts.Add(input.ToArray());
        return [.. parts];
    }

    public GuestExit Next(ScriptedCpu cpu)
    {
        if (_called is { } number)
        {
            _called = null;
            _results.Add(cpu.Registers.Rax);
            returned(number, cpu.Registers.Rax);
        }
        while (_position < input.Length && _records++ < MaximumRecords)
        {
            byte kind = Byte();
            if (kind >= Fault)
                return TakeFault(cpu);
            if (kind >= Poke)
            {
                TakePoke();
                continue;
            }
            if (kind is >= SetRegister and < PatientCall)
            {
                TakeRegister(ref cpu.Registers);
                continue;
            }
            cpu.IsPatient = kind >= PatientCall;
            return TakeCall(cpu);
        }
        cpu.Registers.Rax = SYS_exit_group;
        cpu.Registers.Rdi = 0;
        return new GuestExit(GuestExitKind.SystemCall);
    }

    private GuestExit TakeCall(VirtualCpu cpu)
    {
        ref GuestRegisters registers = ref cpu.Registers;
        registers.Rax = (ulong)(Byte() | Byte() << 8) & 0x1ff;
        registers.Rdi = Argument();
        registers.Rsi = Argument();
        registers.Rdx = Argument();
        registers.R10 = Argument();
        registers.R8 = Argument();
        registers.R9 = Argument();
        registers.Rip = Code + 2;
        _called = registers.Rax;
        Calls++;
        return new GuestExit(GuestExitKind.SystemCall);
    }

    private GuestExit TakeFault(VirtualCpu cpu)
    {
        byte kind = Byte(), errorCode = Byte();
        ulong address = Argument();
        cpu.Registers.Rip = Code;
        return (kind % 4) switch
        {
            0 or 1 => new GuestExit(GuestExitKind.PageFault, address, errorCode & 0x17u, 14),
            2 => new GuestExit(GuestExitKind.Exception, 0, errorCode, (kind >> 2) % 20),
            _ => new GuestExit(GuestExitKind.Interrupted),
        };
    }

    private void TakeRegister(ref GuestRegisters registers)
    {
        int which = Byte();
        ulong value = Argument();
        switch (which & 3)
        {
            case 0 or 1:
                registers.Rsp = value;
                break;
            case 2:
                registers.R11 = value;
                break;
            default:
                registers.Rbp = value;
                break;
        }
    }

    private void TakePoke()
    {
        ulong offset = (ulong)(Byte() | Byte() << 8);
        int length = Byte();
        Span<byte> bytes = stackalloc byte[255];
        for (int i = 0; i < length; i++)
            bytes[i] = Byte();
        // The program may have unmapped its memory, or exec'd another: then there is nothing to write to.
        GuestThread.Current!.Memory.TryWrite(new VirtualAddress(Data + offset), bytes[..(int)Math.Min((ulong)length,
            DataSize - offset)]);
    }

    private ulong Argument()
    {
        Form form = (Form)(Byte() % FormCount);
        switch (form)
        {
            case Form.Small:
                return Byte();
            case Form.Negative:
                return unchecked((ulong)-(long)Byte());
            case Form.Raw:
                return Bytes(8);
            case Form.Word:
                return Bytes(4);
            case Form.Pointer:
                return Data + Bytes(2);
            case Form.Object:
                return Data + (ulong)(Byte() % PreparedMemory.ObjectCount) * PreparedMemory.ObjectSize;
            case Form.Result:
                int index = Byte();
                return _results.Count == 0 ? 0 : _results[index % _results.Count];
            case Form.Constant:
                return Interesting[Byte() % Interesting.Length];
            case Form.NearEnd:
                return Data + DataSize - Byte();
            case Form.Pages:
                return (ulong)Byte() << Page.Shift;
            case Form.Bit:
                return 1UL << (Byte() & 63);
            case Form.ReadOnly:
                return ReadOnlyPage;
            case Form.NoAccess:
                return NoAccessPage;
            default:
                return 0;
        }
    }

    /// <summary>Zero behind the end, so that an input that is cut still means something.</summary>
    private byte Byte() => _position < input.Length ? input[_position++] : (byte)0;

    private ulong Bytes(int count)
    {
        ulong value = 0;
        for (int i = 0; i < count; i++)
            value |= (ulong)Byte() << (8 * i);
        return value;
    }
}
