using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Waiting;

/// <summary>Readiness of a file, with the bits of poll(2) and epoll(7).</summary>
[Flags]
public enum PollEvents : uint
{
    None = 0,
    In = 0x001,
    Priority = 0x002,
    Out = 0x004,
    Error = 0x008,
    HangUp = 0x010,
    Invalid = 0x020,
    ReadNormal = 0x040,
    WriteNormal = 0x100,
    ReadHangUp = 0x2000,

    Readable = In | ReadNormal,
    Writable = Out | WriteNormal,

    /// <summary>Reported whether asked for or not.</summary>
    Always = Error | HangUp | Invalid,
    All = 0x3fff,
}
