using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Devices.Vsock;

namespace Sandbox.Vmm.Machine;

/// <summary>Where a machine guest's connections lead: to its agent's VMM, or to what the supervisor connects.</summary>
/// <param name="agent">Null where there is none; its port is the supervisor's like all others then.</param>
/// <param name="askSupervisor">
/// Asks it for a port, under a number: false when it cannot be asked. Null where the policy gives no path.
/// </param>
sealed class GuestConnections(AgentConnection? agent, Func<uint, ulong, bool>? askSupervisor) : IVsockHost
{
    public VsockReply Connect(uint port, ulong number, out FileDescriptor? file)
    {
        file = null;
        if (agent is not null && port == AgentFrame.Port)
        {
            file = agent.TakeGuestEnd();
            return file is null ? VsockReply.Refused : VsockReply.Connected;
        }
        return askSupervisor?.Invoke(port, number) == true ? VsockReply.Later : VsockReply.Refused;
    }
}
