using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Platforms;

namespace Sandbox.Vmm.Tests.Processes;

/// <summary>A piece of guest code: it yields exits, and reads the processor's registers in between.</summary>
public delegate IEnumerable<GuestExit> Routine(ScriptedCpu cpu);

/// <summary>A platform whose programs are C# iterators instead of machine code.</summary>
public sealed class ScriptedPlatform : IPlatform
{
    private readonly List<Routine> _routines = [];
    private int _rented;

    /// <summary>Processors in use.</summary>
    public int Rented => Volatile.Read(ref _rented);

    /// <summary>Done once, by the next that rents a processor: in the midst of a clone.</summary>
    public Action? OnRent;

    /// <summary>Whether calls can be handed over here.</summary>
    public bool HandsOver { get; set; }

    /// <summary>The most threads that were in guest code at once.</summary>
    public int PeakRunning;

    public int Running;

    /// <summary>Where each routine "is": distinct, even, far apart.</summary>
    private const ulong Base = 0x10_0000, Distance = 0x1_0000;

    /// <summary>Makes a routine callable: as a program's entry point, a handler, or the code of a clone.</summary>
    public ulong AddressOf(Routine routine)
    {
        lock (_routines)
        {
            int index = _routines.IndexOf(routine);
            if (index < 0)
            {
                index = _routines.Count;
                _routines.Add(routine);
            }
            return Base + (ulong)index * Distance;
        }
    }

    internal Routine? At(ulong address)
    {
        lock (_routines)
        {
            ulong index = (address - Base) / Distance;
            return address >= Base && (address - Base) % Distance == 0 && index < (ulong)_routines.Count
                ? _routines[(int)index] : null;
        }
    }

    public VirtualCpu RentCpu()
    {
        Interlocked.Increment(ref _rented);
        Interlocked.Exchange(ref OnRent, null)?.Invoke();
        return new ScriptedCpu(this);
    }

    public void ReturnCpu(VirtualCpu cpu) => Interlocked.Decrement(ref _rented);

    public void Dispose()
    {
    }
}

public sealed unsafe class ScriptedCpu(ScriptedPlatform platform) : VirtualCpu
{
    private readonly byte* _page = (byte*)NativeMemory.AllocZeroed(4096);
    private CallExchange? _exchange;
    private readonly StrongBox<GuestRegisters> _registers = new();
    private readonly Stack<Frame> _code = new();
    private readonly byte[] _extended = new byte[ExtendedStateSize];
    private int _interrupts;
    private bool _returned;

    /// <summary>A routine in progress: the program, or a handler on top of it.</summary>
    private sealed class Frame(IEnumerator<GuestExit> code)
    {
        public readonly IEnumerator<GuestExit> Code = code;

        /// <summary>RIP behind the last SYSCALL.</summary>
        public ulong CallAddress;
    }

    public ScriptedPlatform Platform { get; } = platform;

    public AddressSpace Memory { get; private set; } = null!;

    public override ref GuestRegisters Registers => ref _registers.Value;

    public override ulong FsBase { get; set; }

    public override ulong GsBase { get; set; }

    public override ulong ExtendedStateComponents => 3;

    /// <summary>What the last call answered.</summary>
    public long Result => (long)Registers.Rax;

    public bool WasInterrupted => Volatile.Read(ref _interrupts) > 0;

    /// <summary>The code that a clone made next will run.</summary>
    public ulong Child
    {
        get => Registers.R15;
        set => Registers.R15 = value;
    }

    public override void Attach(AddressSpace memory)
    {
        Memory = memory;
        _exchange = null;
    }

    public override CallExchange? Exchange => _exchange;

    public override bool TryOpenExchange()
    {
        if (!Platform.HandsOver)
            return false;
        _exchange = new CallExchange(_page);
        return true;
    }

    /// <summary>A call through the hand-off gate: answered in place, or yielded as an exit. Read <see cref="Result"/> then.</summary>
    public IEnumerable<GuestExit> HandOver(int number, ulong a0 = 0, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0)
    {
        GuestExit exit = Call(number, a0, a1, a2, a3);
        if (!TryGate())
            yield return exit;
    }

    /// <summary>Whether the gate would wait for an answer now.</summary>
    public bool IsAttended => Volatile.Read(ref *(int*)(_page + ExchangeLayout.Attended)) != 0;

    /// <summary>What the gate's machine code does. False when it leaves.</summary>
    private bool TryGate()
    {
        if (_exchange is null || !IsAttended)
            return false;
        ref GuestRegisters r = ref Registers;
        ulong* call = (ulong*)(_page + ExchangeLayout.Call);
        (call[0], call[1], call[2], call[3], call[4], call[5], call[6]) = (r.Rax, r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9);
        ref int request = ref *(int*)(_page + ExchangeLayout.Request);
        Volatile.Write(ref request, ExchangeLayout.Waiting);
        long patience = Environment.TickCount64 + 1000;
        while (Environment.TickCount64 < patience && Volatile.Read(ref _interrupts) == 0)
        {
            if (Volatile.Read(ref request) == ExchangeLayout.MustLeave)
                return false;
            if (Volatile.Read(ref request) == ExchangeLayout.HasAnswer)
            {
                request = ExchangeLayout.NoRequest;
                r.Rax = *(ulong*)(_page + ExchangeLayout.Result);
                return true;
            }
            // The attendant may be waiting for this CPU.
            Thread.Yield();
        }
        return false;
    }

    public override void Interrupt() => Volatile.Write(ref _interrupts, 1);

    public override void SaveExtendedState(Span<byte> state) => _extended.CopyTo(state);

    public override bool TryLoadExtendedState(ReadOnlySpan<byte> state)
    {
        state.CopyTo(_extended);
        return true;
    }

    /// <summary>Bytes of XMM0 in the XSAVE image, to see that state survives.</summary>
    public Span<byte> Xmm0 => _extended.AsSpan(160, 16);

    public override void ResetForExec()
    {
        Registers = default;
        _extended.AsSpan().Clear();
        _code.Clear();
    }

    public override GuestExit Run()
    {
        int running = Interlocked.Increment(ref Platform.Running);
        int peak;
        while (running > (peak = Volatile.Read(ref Platform.PeakRunning)))
            Interlocked.CompareExchange(ref Platform.PeakRunning, running, peak);
        CallExchange? exchange = _exchange;
        exchange?.Enter();
        GuestExit exit;
        try
        {
            exit = Step();
        }
        finally
        {
            Interlocked.Decrement(ref Platform.Running);
            exchange?.Close();
        }
        return exit.Kind == GuestExitKind.SystemCall && exchange is not null && exchange.IsServed(answerSeen: false)
            ? new GuestExit(GuestExitKind.ServedCall) : exit;
    }

    private GuestExit Step()
    {
        if (Interlocked.Exchange(ref _interrupts, 0) != 0)
            return new(GuestExitKind.Interrupted);
        if (_returned)
        {
            _returned = false;
            _code.Pop();
        }
        if (_code.TryPeek(out Frame? current) && current.CallAddress != 0
            && Registers.Rip == current.CallAddress - 2)
        {
            // The VMM has backed up: the same SYSCALL again, with whatever is in the registers now.
            Registers.Rip = current.CallAddress;
            return new(GuestExitKind.SystemCall);
        }
        // A clone begins behind its parent's call, in code of its own.
        if (_code.Count == 0 && Platform.At(Registers.Rip) is null)
            Registers.Rip = Registers.R15;
        if (Platform.At(Registers.Rip) is { } routine)
        {
            _code.Push(new Frame(routine(this).GetEnumerator()));
            Registers.Rip += 0x10;
        }
        if (_code.Count == 0 || !_code.Peek().Code.MoveNext())
            throw new InvalidOperationException("guest code ran off its end");
        return _code.Peek().Code.Current;
    }

    /// <summary>A system call; yield it, then read <see cref="Result"/>.</summary>
    public GuestExit Call(int number, ulong a0 = 0, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0, ulong a4 = 0, ulong a5 = 0)
    {
        ref GuestRegisters r = ref Registers;
        r.Rax = (ulong)number;
        (r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9) = (a0, a1, a2, a3, a4, a5);
        r.Rip += 2;
        _code.Peek().CallAddress = r.Rip;
        return new(GuestExitKind.SystemCall);
    }

    /// <summary>rt_sigreturn from a handler's routine: the interrupted one goes on.</summary>
    public GuestExit ReturnFromHandler()
    {
        Registers.Rsp += 8;
        _returned = true;
        return Call(Sandbox.Host.Libc.SYS_rt_sigreturn);
    }

    /// <summary>Spends time in guest code until interrupted.</summary>
    public GuestExit Spin(int milliseconds)
    {
        long end = Environment.TickCount64 + milliseconds;
        while (Environment.TickCount64 < end && !WasInterrupted)
            Thread.SpinWait(100);
        Interlocked.Exchange(ref _interrupts, 0);
        return new(GuestExitKind.Interrupted);
    }

    public void Write<T>(ulong address, in T value) where T : unmanaged
    {
        if (!Memory.TryWrite(new VirtualAddress(address), value))
            throw new InvalidOperationException($"guest code writes to 0x{address:x}");
    }

    public T Read<T>(ulong address) where T : unmanaged =>
        Memory.TryRead(new VirtualAddress(address), out T value)
            ? value : throw new InvalidOperationException($"guest code reads 0x{address:x}");

    // The page is left to the end of the process: an attendant may still look at it.
    public override void Dispose()
    {
    }
}
