namespace Sandbox.Policy.Contract;

/// <summary>What a machine guest's agent does: a file in the initramfs that the supervisor makes.</summary>
public sealed record AgentOrder
{
    /// <summary>Where it is in the initramfs.</summary>
    public const string Path = "/order";

    /// <summary>Names in /modules, in the order in which they are loaded.</summary>
    public required string[] Modules { get; init; }

    /// <summary>Whether the program may change its root file system for good; else changes are in memory.</summary>
    public required bool WritableRoot { get; init; }

    public required string[] Arguments { get; init; }

    /// <summary>The whole environment, as NAME=value.</summary>
    public required string[] Environment { get; init; }

    public required string WorkingDirectory { get; init; }

    public required string Hostname { get; init; }

    /// <summary>The size of the program's terminal; null for pipes.</summary>
    public required AgentTerminal? Terminal { get; init; }

    /// <summary>What is brought up beside the loopback.</summary>
    public required AgentInterface[] Interfaces { get; init; }

    private static ReadOnlySpan<byte> Magic => "agent 3\0"u8;

    /// <exception cref="PlanException">A text holds half a surrogate pair.</exception>
    public byte[] Serialize()
    {
        var to = new PlanWriter();
        to.Literal(Magic);
        to.Texts(Modules);
        to.Flag(WritableRoot);
        to.Texts(Arguments);
        to.Texts(Environment);
        to.Text(WorkingDirectory);
        to.Text(Hostname);
        to.Flag(Terminal is not null);
        if (Terminal is AgentTerminal terminal)
        {
            to.UInt16(terminal.Rows);
            to.UInt16(terminal.Columns);
        }
        to.Int32(Interfaces.Length);
        foreach (AgentInterface one in Interfaces)
            one.Write(ref to);
        return to.ToArray();
    }

    /// <exception cref="PlanException">Anything but what <see cref="Serialize"/> writes.</exception>
    public static AgentOrder Deserialize(ReadOnlySpan<byte> bytes)
    {
        var from = new PlanReader(bytes);
        from.Literal(Magic);
        var order = new AgentOrder
        {
            Modules = from.Texts(),
            WritableRoot = from.Flag(),
            Arguments = from.Texts(),
            Environment = from.Texts(),
            WorkingDirectory = from.Text(),
            Hostname = from.Text(),
            Terminal = from.Flag() ? new AgentTerminal(from.UInt16(), from.UInt16()) : null,
            Interfaces = ReadInterfaces(ref from),
        };
        from.End();
        return order;
    }

    private static AgentInterface[] ReadInterfaces(ref PlanReader from)
    {
        var interfaces = new AgentInterface[from.Count(AgentInterface.LeastBytes)];
        for (int i = 0; i < interfaces.Length; i++)
            interfaces[i] = AgentInterface.Read(ref from);
        return interfaces;
    }
}

/// <summary>A terminal's size when the program starts.</summary>
public sealed record AgentTerminal(ushort Rows, ushort Columns);
