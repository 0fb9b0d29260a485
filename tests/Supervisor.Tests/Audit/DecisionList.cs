using Sandbox.Supervisor.Audit;

namespace Sandbox.Supervisor.Tests.Audit;

/// <summary>Keeps what is recorded, and says whether it may take effect.</summary>
sealed class DecisionList : IDecisionSink
{
    public List<DecisionRecord> Records { get; } = [];

    public bool HasRoom { get; set; } = true;

    public bool Record(DecisionRecord decision)
    {
        Records.Add(decision);
        return HasRoom;
    }
}
