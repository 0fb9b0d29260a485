using Sandbox.Host;
using Sandbox.Policy.Contract;

namespace Sandbox.Agent;

/// <summary>A step before the program runs failed.</summary>
sealed class AgentException(AgentStep step, int errno) : Exception
{
    public AgentStep Step => step;

    public int Errno => errno;

    /// <summary>
    /// The failure as one of the agent's, whatever it is: a first process that an exception ends is a kernel's panic.
    /// </summary>
    public static AgentException Of(Exception failure) =>
        failure as AgentException ?? new AgentException(AgentStep.None, Libc.EIO);
}
