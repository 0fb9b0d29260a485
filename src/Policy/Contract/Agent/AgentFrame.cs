namespace Sandbox.Policy.Contract;

/// <summary>What a frame between a machine guest's agent and its VMM says.</summary>
public enum AgentFrameKind : byte
{
    /// <summary>Agent to VMM: the program runs.</summary>
    Started = 1,

    /// <summary>Agent to VMM: bytes of the program's standard output.</summary>
    Output = 2,

    /// <summary>Agent to VMM: bytes of its standard error.</summary>
    Error = 3,

    /// <summary>Agent to VMM: the program took as many bytes of its input (uint); so many more may be sent.</summary>
    Taken = 4,

    /// <summary>
    /// Agent to VMM, last: the program exited (0) or was ended by a signal (1), with this status or number.
    /// </summary>
    Ended = 5,

    /// <summary>
    /// Agent to VMM, last: the program was not started; an <see cref="AgentStep"/> and an errno (int).
    /// </summary>
    Failed = 6,

    /// <summary>VMM to agent: bytes for the program's standard input.</summary>
    Input = 16,

    /// <summary>VMM to agent: there is no more input.</summary>
    InputEnd = 17,

    /// <summary>VMM to agent: deliver this signal (byte) to the program.</summary>
    Signal = 18,

    /// <summary>VMM to agent: the terminal has so many rows and columns (ushort each).</summary>
    WindowSize = 19,

    /// <summary>
    /// VMM to agent, once for each: nobody reads the program's standard output (0) or standard error (1) any more.
    /// </summary>
    Unread = 20,
}

/// <summary>Where an agent failed.</summary>
public enum AgentStep : byte
{
    None = 0,
    Order,
    Module,
    Root,
    Mount,

    /// <summary>An interface is not there, or did not take its address.</summary>
    Network,

    WorkingDirectory,

    /// <summary>The program is nowhere in the guest's PATH.</summary>
    Lookup,

    Execute,
}

/// <summary>
/// The form of frames: kind, a zero, the payload's length in two bytes (little endian), the payload. Both directions
/// are one socket's, which loses nothing.
/// </summary>
public static class AgentFrame
{
    /// <summary>The host's port of the socket device to which the agent connects, once.</summary>
    public const uint Port = 1;

    public const int HeaderSize = 4;

    /// <summary>Bytes of a payload at most.</summary>
    public const int MaximumPayload = 16 << 10;

    /// <summary>
    /// Bytes of input that may be on their way, not yet taken: what the agent keeps for a program that does not read,
    /// so that signals are not behind it.
    /// </summary>
    public const int InputWindow = 64 << 10;

    /// <summary>Writes a frame. The destination has room for it.</summary>
    /// <returns>Its length.</returns>
    public static int Write(AgentFrameKind kind, ReadOnlySpan<byte> payload, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(payload.Length, MaximumPayload);
        destination[0] = (byte)kind;
        destination[1] = 0;
        destination[2] = (byte)payload.Length;
        destination[3] = (byte)(payload.Length >> 8);
        payload.CopyTo(destination[HeaderSize..]);
        return HeaderSize + payload.Length;
    }
}
