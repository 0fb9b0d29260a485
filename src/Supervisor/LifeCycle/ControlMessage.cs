using System.Runtime.InteropServices;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>What a message on a sandbox's control socket says.</summary>
enum ControlKind : uint
{
    /// <summary>To the guest's first process: signal <see cref="ControlMessage.Value"/>, 1 to 64.</summary>
    Signal = 1,

    /// <summary>End the guest now, without asking it.</summary>
    Kill = 2,

    /// <summary>Let the whole guest stand still.</summary>
    Pause = 3,

    /// <summary>Let it go on.</summary>
    Resume = 4,

    /// <summary>Say when it has ended: the only request that is answered by <see cref="Ended"/>.</summary>
    Wait = 5,

    /// <summary>Put what was counted of the guest into the sandbox's folder.</summary>
    Count = 6,

    /// <summary>Ask a machine guest to have so much memory in its balloon: Value bytes, 0 to all that it has.</summary>
    Balloon = 7,

    /// <summary>From the supervisor: a request was carried out, or Value is the negative error number.</summary>
    Answer = 16,

    /// <summary>From the supervisor, last: Value is the exit status of its command line.</summary>
    Ended = 17,
}

/// <summary>One message: fixed size, so that neither side ever parses a length.</summary>
[StructLayout(LayoutKind.Sequential, Size = 16)]
struct ControlMessage
{
    public const uint CurrentVersion = 1;

    public uint Version;
    public ControlKind Kind;
    public long Value;

    public static ControlMessage Of(ControlKind kind, long value = 0) =>
        new() { Version = CurrentVersion, Kind = kind, Value = value };
}
