using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Machine;

/// <summary>Why a machine guest ended, of all who have said something about it.</summary>
/// <param name="End">What the machine did.</param>
/// <param name="Stopped">Who stopped it, with <see cref="MachineEnd.Stopped"/>.</param>
/// <param name="Said">
/// What came behind the guest's output, perhaps after the machine's end: how its program ended, or that this was too much.
/// </param>
readonly record struct MachineReason(MachineEnd End, GuestEnd? Stopped, GuestEnd? Said)
{
    /// <summary>The guest has an agent, which has not started its program.</summary>
    public bool LacksProgram { get; init; }

    /// <summary>Of the machine, after <see cref="MachineEnd.Failed"/>.</summary>
    public string Failure { get; init; } = "";

    /// <summary>Whether all that the guest wrote is with the caller.</summary>
    public bool IsWhole { get; init; } = true;

    /// <summary>A signal after the machine's end, by which the caller would wait for the output no longer; or 0.</summary>
    public int GaveUpBy { get; init; }

    public GuestEnd Reason
    {
        get
        {
            GuestEnd reason = WithWholeOutput;
            // No guest ended well whose output was cut off.
            if (IsWhole || reason.Cause is not (EndCause.PoweredOff or EndCause.Rebooted or EndCause.Exited))
                return reason;
            return GaveUpBy > 0 ? Of(EndCause.Signaled, GaveUpBy) : Of(EndCause.WallTimeLimit);
        }
    }

    private GuestEnd WithWholeOutput => End switch
    {
        MachineEnd.PoweredOff when LacksProgram => Of(EndCause.Failed, EPROTO, (long)VmmFailure.GuestSetup),
        MachineEnd.PoweredOff or MachineEnd.Rebooted
            when Said is { Cause: EndCause.Exited or EndCause.Signaled or EndCause.OutputLimit } said => said,
        MachineEnd.PoweredOff => Of(EndCause.PoweredOff),
        MachineEnd.Rebooted => Of(EndCause.Rebooted),
        MachineEnd.Panicked => Of(EndCause.KernelPanic),
        MachineEnd.TripleFault => Of(EndCause.TripleFault),
        MachineEnd.Stopped when Stopped is GuestEnd given => given,
        _ => new GuestEnd(EndCause.Failed, EIO, (long)VmmFailure.MachineStopped, Failure),
    };

    private static GuestEnd Of(EndCause cause, long value = 0, long detail = 0) => new(cause, value, detail, "");
}
