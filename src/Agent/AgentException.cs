using Sandbox.Policy.Contract;

namespace Sandbox.Agent;

/// <summary>A step before the program runs failed.</summary>
sealed class AgentException(AgentStep step, int errno) : Exception
{
    public AgentStep Step => step;

    public int Errno => errno;
}
