using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Sandbox.Policy.Contract;

/// <summary>What a decision was about.</summary>
public enum DecisionKind : uint
{
    /// <summary>One <see cref="PathAccess"/> to a path, which is the request.</summary>
    Path = 1,

    /// <summary>Looking at a path, which any access allows.</summary>
    Look = 2,

    /// <summary>Giving a file another name: the request is the old path, a NUL, and the new one.</summary>
    Move = 3,

    /// <summary>A system call: the request is its number and six arguments, eight bytes each.</summary>
    SystemCall = 4,

    /// <summary>Not a decision: so many that came before this message were not sent, as the sink was full.</summary>
    Dropped = 5,

    /// <summary>Not a decision: the guest has ended, and nothing follows.</summary>
    End = 6,
}

/// <summary>
/// What the VMM tells the supervisor about one decision, over a socket of its own. Fixed size, so that neither side
/// ever parses a length; the supervisor believes none of it.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = Size)]
public struct DecisionMessage
{
    public const int Size = 512;
    public const uint CurrentVersion = 1;

    /// <summary>Bytes of a request that a message has room for.</summary>
    public const int RequestBytes = Size - 56;

    /// <summary>Of <see cref="Result"/>: the guest was ended.</summary>
    public const int Killed = -1;

    public uint Version;
    public DecisionKind Kind;

    /// <summary>From 1, without gaps.</summary>
    public ulong Sequence;

    /// <summary>0 when the request was allowed, else the errno that the guest got, or <see cref="Killed"/>.</summary>
    public int Result;

    /// <summary>
    /// The deciding rule's index in the plan's rules; <see cref="Verdict.NoRule"/> when none matched.
    /// </summary>
    public int Rule;

    /// <summary>For <see cref="DecisionKind.Path"/>: exactly one.</summary>
    public PathAccess Access;

    /// <summary>The process in the guest; 0 for the VMM itself.</summary>
    public int Process;

    /// <summary>How long deciding took.</summary>
    public long Nanoseconds;

    /// <summary>For <see cref="DecisionKind.Dropped"/>: how many.</summary>
    public ulong Count;

    /// <summary>Bytes of the request that are here.</summary>
    public uint Length;

    /// <summary>1 when the request is longer than what is here, else 0.</summary>
    public uint Truncated;

    public RequestBuffer Request;

    [InlineArray(RequestBytes)]
    public struct RequestBuffer
    {
        private byte _first;
    }
}
