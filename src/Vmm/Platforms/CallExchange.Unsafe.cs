using Sandbox.Host;

namespace Sandbox.Vmm.Platforms;

/// <summary>A system call as it came: number and arguments, copied once.</summary>
public readonly record struct HandedCall(ulong Number, ulong A0, ulong A1, ulong A2, ulong A3, ulong A4, ulong A5);

/// <summary>
/// Where one processor's system calls are taken over and answered while it stays in the guest. One object serves one
/// processor in one address space; it ends <see cref="Close">closed</see> and is never opened for another.
/// </summary>
/// <remarks>
/// The guest writes its page as it likes, at any time. So the page only ever says that there might be a call, and what
/// it is; who may act for the guest thread is decided in <see cref="_state"/>, which no guest reaches. The processor's
/// own thread has the say whenever the processor is out of the guest; while it is inside, an attendant may claim one
/// call at a time. Neither acts before the other has finished.
/// </remarks>
public sealed unsafe class CallExchange
{
    /// <summary>The processor's own thread acts; an attendant must not.</summary>
    private const int Closed = 0;
    /// <summary>The processor is in the guest, and nobody acts.</summary>
    private const int Open = 1;
    /// <summary>The attendant acts.</summary>
    private const int Claimed = 2;
    /// <summary>The attendant acts, and the processor's thread sleeps until it has finished.</summary>
    private const int Awaited = 3;

    // The processor's thread looks so often before it sleeps: most calls take less than going to sleep does.
    private const int SpinsBeforeSleep = 500;

    private const ulong TrapFlag = 1 << 8;

    private readonly byte* _page;
    private int _state;
    private bool _attended;
    private bool _hasResult;
    private uint _number;
    private long _result;

    /// <param name="page">
    /// Where the guest's gate and the VMM meet. It stays until the object is closed for good.
    /// </param>
    internal CallExchange(byte* page) => _page = page;

    /// <summary>Number of the call that <see cref="Result"/> answers.</summary>
    public uint Number => _number;

    /// <summary>What serving the call gave: a value for RAX, or a code that the guest must never see.</summary>
    public long Result => _result;

    private ref int Request => ref *(int*)(_page + ExchangeLayout.Request);

    // ---- The processor's thread ----

    /// <summary>The processor is about to enter the guest: from now on an attendant may act.</summary>
    internal void Enter()
    {
        Request = ExchangeLayout.NoRequest;
        *(int*)(_page + ExchangeLayout.Attended) = Volatile.Read(ref _attended) ? 1 : 0;
        _hasResult = false;
        Volatile.Write(ref _state, Open);
    }

    /// <summary>
    /// The processor has left the guest: waits for an attendant to finish, and keeps it out from now on.
    /// </summary>
    internal void Close()
    {
        int spins = 0;
        while (true)
        {
            int state = Interlocked.CompareExchange(ref _state, Closed, Open);
            if (state is Open or Closed)
                return;
            if (++spins < SpinsBeforeSleep)
                Thread.SpinWait(1);
            else if (Interlocked.CompareExchange(ref _state, Awaited, Claimed) is Claimed or Awaited)
                HostFutex.Wait(ref _state, Awaited);
        }
    }

    /// <summary>
    /// After an exit in the gate: whether the call that was to leave the guest has been served already.
    /// </summary>
    internal bool IsServed(bool answerSeen)
    {
        int request = Volatile.Read(ref Request);
        // Nobody took it: whoever attends has no CPU, and the next calls need not wait to learn that again.
        if (request == ExchangeLayout.Waiting)
            Volatile.Write(ref _attended, false);
        return _hasResult && (answerSeen || request is ExchangeLayout.HasAnswer or ExchangeLayout.MustLeave);
    }

    internal ulong StackPointer => *(ulong*)(_page + ExchangeLayout.StackPointer);

    internal ulong Flags => *(ulong*)(_page + ExchangeLayout.Flags);

    // ---- The attendant ----

    /// <summary>
    /// Tells the gate whether to wait for answers. Takes effect at once if the processor is in the guest, else when it
    /// enters.
    /// </summary>
    public void Attend(bool attended)
    {
        if (Volatile.Read(ref _attended) == attended)
            return;
        Volatile.Write(ref _attended, attended);
        if (Interlocked.CompareExchange(ref _state, Claimed, Open) != Open)
            return;
        *(int*)(_page + ExchangeLayout.Attended) = attended ? 1 : 0;
        Release();
    }

    /// <summary>The processor is in the guest, as far as another thread can tell.</summary>
    public bool IsOpen => Volatile.Read(ref _state) == Open;

    /// <summary>Whether there may be a call to take.</summary>
    public bool HasCall => IsOpen && Volatile.Read(ref Request) == ExchangeLayout.Waiting;

    /// <summary>
    /// Claims the call that waits. The caller acts for the guest thread until it calls <see cref="Answer"/>,
    /// <see cref="AnswerOutside"/> or <see cref="HandBack"/>.
    /// </summary>
    public bool TryTake(out HandedCall call)
    {
        call = default;
        if (!HasCall || Interlocked.CompareExchange(ref _state, Claimed, Open) != Open)
            return false;
        if (Volatile.Read(ref Request) != ExchangeLayout.Waiting)
        {
            Release();
            return false;
        }
        if ((Flags & TrapFlag) != 0)
        {
            // The trap belongs behind the program's own next instruction, not into the gate.
            HandBack();
            return false;
        }
        ulong* words = (ulong*)(_page + ExchangeLayout.Call);
        call = new HandedCall(words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
        return true;
    }

    /// <summary>The program goes on with this result, without leaving the guest.</summary>
    public void Answer(uint number, long result)
    {
        Keep(number, result);
        *(long*)(_page + ExchangeLayout.Result) = result;
        Volatile.Write(ref Request, ExchangeLayout.HasAnswer);
        Release();
    }

    /// <summary>The call is served, but the processor must leave the guest before the program goes on.</summary>
    public void AnswerOutside(uint number, long result)
    {
        Keep(number, result);
        Volatile.Write(ref Request, ExchangeLayout.MustLeave);
        Release();
    }

    /// <summary>
    /// The processor must leave the guest, and its own thread serves the call: nothing has been done yet.
    /// </summary>
    public void HandBack()
    {
        _hasResult = false;
        Volatile.Write(ref Request, ExchangeLayout.MustLeave);
        Release();
    }

    private void Keep(uint number, long result)
    {
        _number = number;
        _result = result;
        _hasResult = true;
    }

    private void Release()
    {
        if (Interlocked.CompareExchange(ref _state, Open, Claimed) == Claimed)
            return;
        // Closed at once: a guest that asks without end cannot keep its processor's thread out.
        Volatile.Write(ref _state, Closed);
        HostFutex.Wake(ref _state, 1);
    }
}
