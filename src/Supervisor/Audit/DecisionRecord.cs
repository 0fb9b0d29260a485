using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.Audit;

/// <summary>One decision by the policy, wherever it was taken.</summary>
/// <param name="Request">As people write requests, without control characters.</param>
/// <param name="Result">"allowed", or "denied" with the error that the guest got.</param>
/// <param name="Rule">Who decided; null when no rule matched.</param>
/// <param name="Process">In the guest; 0 for none.</param>
/// <param name="Nanoseconds">How long deciding took.</param>
/// <param name="IsTruncated">The request was longer.</param>
sealed record DecisionRecord(
    string Request, bool Allowed, string Result, IRule? Rule, int Process, long Nanoseconds, bool IsTruncated = false);

/// <summary>Where decisions are recorded that the supervisor takes itself. From any thread.</summary>
interface IDecisionSink
{
    /// <summary>Whether a few more decisions could be recorded now.</summary>
    bool HasRoom { get; }

    /// <summary>Records a decision, without waiting.</summary>
    /// <returns>
    /// False when the decision must not take effect: it could not be recorded, and the policy says to wait or to stop
    /// then.
    /// </returns>
    bool Record(DecisionRecord decision);
}
