namespace Sandbox.Policy.Contract;

/// <summary>What can be asked of the network.</summary>
public enum NetworkAction
{
    Connect,
    Listen,
    /// <summary>Ask DNS for a name.</summary>
    Resolve,
}

public enum NetworkProtocol
{
    Tcp,
    Udp,
}
