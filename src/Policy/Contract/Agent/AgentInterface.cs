namespace Sandbox.Policy.Contract;

/// <summary>A network interface that a machine guest's agent brings up.</summary>
public sealed record AgentInterface
{
    /// <summary>By which it is found: 6 bytes.</summary>
    public required byte[] Mac { get; init; }

    /// <summary>In network order, 4 or 16 bytes; none to leave addresses to the program.</summary>
    public required byte[] Address { get; init; }

    /// <summary>How many of its bits name its network.</summary>
    public required byte PrefixBits { get; init; }

    /// <summary>Whereto all other networks are reached, as long as the address; none for no way there.</summary>
    public required byte[] Gateway { get; init; }

    internal const int LeastBytes = 3 * sizeof(int) + sizeof(byte);

    internal void Write(ref PlanWriter to)
    {
        to.Bytes(Mac);
        to.Bytes(Address);
        to.Choice(PrefixBits);
        to.Bytes(Gateway);
    }

    internal static AgentInterface Read(ref PlanReader from) => new()
    {
        Mac = from.Bytes(),
        Address = from.Bytes(),
        PrefixBits = (byte)from.Choice(last: 128),
        Gateway = from.Bytes(),
    };
}
