using Sandbox.Policy.Contract;
using Sandbox.Vmm.Machine;
using Sandbox.Vmm.Personality;
using Xunit;

namespace Sandbox.Vmm.Tests.Machine;

/// <summary>Which of those who say why a machine guest ended is believed.</summary>
public sealed class MachineReasonTests
{
    private const EndCause None = 0;
    private const int Term = Host.Libc.SIGTERM;

    [Theory]
    // The machine's own end.
    [InlineData(MachineEnd.PoweredOff, None, None, true, 0, EndCause.PoweredOff)]
    [InlineData(MachineEnd.Rebooted, None, None, true, 0, EndCause.Rebooted)]
    [InlineData(MachineEnd.Panicked, None, None, true, 0, EndCause.KernelPanic)]
    [InlineData(MachineEnd.TripleFault, None, None, true, 0, EndCause.TripleFault)]
    [InlineData(MachineEnd.Failed, None, None, true, 0, EndCause.Failed)]
    [InlineData(MachineEnd.Stopped, EndCause.WallTimeLimit, None, true, 0, EndCause.WallTimeLimit)]
    [InlineData(MachineEnd.Stopped, EndCause.Exited, EndCause.Exited, true, 0, EndCause.Exited)]
    [InlineData(MachineEnd.Stopped, EndCause.Signaled, EndCause.Exited, true, 0, EndCause.Signaled)]
    [InlineData(MachineEnd.Stopped, None, None, true, 0, EndCause.Failed)]
    // What was behind the output is heard after the machine's end; who came too late to stop it is not.
    [InlineData(MachineEnd.PoweredOff, EndCause.Exited, EndCause.Exited, true, 0, EndCause.Exited)]
    [InlineData(MachineEnd.Rebooted, EndCause.Signaled, EndCause.Signaled, true, 0, EndCause.Signaled)]
    [InlineData(MachineEnd.PoweredOff, EndCause.OutputLimit, EndCause.OutputLimit, true, 0, EndCause.OutputLimit)]
    [InlineData(MachineEnd.PoweredOff, EndCause.Signaled, None, true, 0, EndCause.PoweredOff)]
    [InlineData(MachineEnd.PoweredOff, EndCause.Failed, EndCause.Failed, true, 0, EndCause.PoweredOff)]
    [InlineData(MachineEnd.Panicked, EndCause.Exited, EndCause.Exited, true, 0, EndCause.KernelPanic)]
    // A signal that was for the output only says nothing when all of it arrived.
    [InlineData(MachineEnd.PoweredOff, None, None, true, Term, EndCause.PoweredOff)]
    // Output that is lost.
    [InlineData(MachineEnd.PoweredOff, None, None, false, Term, EndCause.Signaled)]
    [InlineData(MachineEnd.PoweredOff, None, None, false, 0, EndCause.WallTimeLimit)]
    [InlineData(MachineEnd.Rebooted, None, None, false, 0, EndCause.WallTimeLimit)]
    [InlineData(MachineEnd.Stopped, EndCause.Exited, EndCause.Exited, false, 0, EndCause.WallTimeLimit)]
    [InlineData(MachineEnd.Panicked, None, None, false, 0, EndCause.KernelPanic)]
    [InlineData(MachineEnd.Stopped, EndCause.OutputLimit, EndCause.OutputLimit, false, 0, EndCause.OutputLimit)]
    public void One_is_believed(
        MachineEnd end, EndCause stopped, EndCause said, bool isWhole, int gaveUpBy, EndCause expected)
    {
        GuestEnd reason = new MachineReason(end, Of(stopped), Of(said)) { IsWhole = isWhole, GaveUpBy = gaveUpBy }.Reason;
        Assert.Equal(expected, reason.Cause);
        Assert.Equal(!isWhole && gaveUpBy > 0 ? gaveUpBy : reason.Value, reason.Value);

        static GuestEnd? Of(EndCause cause) => cause == None ? null : new GuestEnd(cause, 1, 0, "");
    }

    [Fact]
    public void A_machine_that_ends_before_its_program_has_failed()
    {
        GuestEnd reason = new MachineReason(MachineEnd.PoweredOff, null, null) { LacksProgram = true }.Reason;
        Assert.Equal((EndCause.Failed, (long)VmmFailure.GuestSetup), (reason.Cause, reason.Detail));
    }
}
