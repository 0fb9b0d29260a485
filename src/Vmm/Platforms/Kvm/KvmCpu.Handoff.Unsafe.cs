using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.KvmAbi;

namespace Sandbox.Vmm.Platforms.Kvm;

// The gate that hands calls over, on hosts where SYSCALL stays at CPL 3. It is mapped for one vCPU in one address
// space, together with the page that it shares with the VMM; until then, and elsewhere, the plain gate serves.
public sealed unsafe partial class KvmCpu
{
    private CallExchange? _exchange;

    private ulong HandoffGate => Ring0Layout.ExchangeBase + ((ulong)_number * Ring0Layout.ExchangeSize);

    public override CallExchange? Exchange => _exchange;

    public override bool TryOpenExchange()
    {
        if (!_platform.HandsOver || _memory is null)
            return false;
        byte* page =
            _memory.MapExchange(HandoffGate, new PhysicalAddress(Ring0Layout.PhysicalBase + Ring0Layout.HandoffOffset));
        if (page is null)
            return false;
        SetGate(HandoffGate);
        _exchange = new CallExchange(page);
        return true;
    }

    private void CloseExchange()
    {
        if (_exchange is null)
            return;
        _exchange = null;
        SetGate(KvmPlatform.GateAddress);
    }

    private bool IsInHandoffGate(ulong rip) => _exchange is not null && rip - HandoffGate < HandoffBytes.End;

    /// <summary>
    /// In the gate of any vCPU. One that is not this vCPU's own, or not open, is code like any other, in which the
    /// program may run in circles.
    /// </summary>
    private static bool IsInExchanges(ulong rip) =>
        rip - Ring0Layout.ExchangeBase < (ulong)Ring0Layout.MaximumVcpus * Ring0Layout.ExchangeSize;

    /// <summary>
    /// Out of the guest somewhere in the gate, by its own instruction or called out. Wherever it was, the program sees
    /// its call answered, or it is to be served now.
    /// </summary>
    private GuestExit EnterFromHandoffGate(ref kvm_regs registers)
    {
        ulong offset = registers.rip - HandoffGate;
        bool answerSeen = offset >= HandoffBytes.Answered;
        bool served = _exchange!.IsServed(answerSeen);
        if (answerSeen)
            registers.rsp = _exchange.StackPointer;
        if (offset >= HandoffBytes.Requested && offset is not (HandoffBytes.Out or HandoffBytes.Left))
            registers.r11 = _exchange.Flags;
        _place = Place.User;
        registers.rip = registers.rcx;
        registers.rflags = registers.r11;
        return new GuestExit(served ? GuestExitKind.ServedCall : GuestExitKind.SystemCall);
    }
}
