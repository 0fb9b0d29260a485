using System.Text.Json;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Processes;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Platforms;
using Xunit;

namespace Sandbox.Vmm.Tests.Processes;

/// <summary>The record's numbers mean on both sides the same.</summary>
public sealed class GuestRecordTests
{
    [Fact]
    public void ExitsHaveTheirNames()
    {
        Assert.Equal(Enum.GetNames<GuestExitKind>().Select(JsonNamingPolicy.CamelCase.ConvertName), GuestRecord.ExitNames);
        Assert.Equal(ExitCounters.Kinds, GuestRecord.ExitNames.Count);
    }

    [Fact]
    public void EveryCallHasItsPlace() => Assert.Equal(SystemCallTable.Limit, GuestRecord.CallLimit);

    [Fact]
    public void StepsThatWereNotTakenAreZero()
    {
        StartPhases phases = new();
        phases.Begin(1);
        phases.Mark(StartPhase.Program);
        Assert.Equal(0, phases[StartPhase.Inspection]);
        Assert.True(phases[StartPhase.Program] > 0);
    }
}
