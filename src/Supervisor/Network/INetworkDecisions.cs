using Sandbox.Policy.Contract;

namespace Sandbox.Supervisor.Network;

/// <summary>Hears of each decision about the network, before it takes effect, in the order of the requests.</summary>
interface INetworkDecisions
{
    /// <summary>Whether there is room for what one request has decided; while there is none, requests wait.</summary>
    bool HasRoom { get; }

    /// <param name="verdict">Its rule is an index into the policy's network rules.</param>
    /// <param name="nanoseconds">How long deciding took.</param>
    /// <returns>False when the decision must not take effect.</returns>
    bool Decided(in NetworkQuestion question, Verdict verdict, long nanoseconds);
}
