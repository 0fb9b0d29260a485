using Sandbox.Policy.Contract;

namespace Sandbox.Supervisor.Network;

/// <summary>Hears of each decision about the network, before it takes effect, in the order of the requests.</summary>
interface INetworkDecisions
{
    /// <param name="verdict">Its rule is an index into the policy's network rules.</param>
    void Decided(in NetworkQuestion question, Verdict verdict);
}
