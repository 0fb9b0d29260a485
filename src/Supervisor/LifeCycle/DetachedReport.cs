using System.Runtime.InteropServices;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>What a detached supervisor tells the command line that started it, once.</summary>
[StructLayout(LayoutKind.Sequential, Size = 16)]
struct DetachedReport
{
    /// <summary>1 when the guest has started, else 0.</summary>
    public uint HasStarted;

    /// <summary>The command line's exit status when it has not.</summary>
    public int Status;

    /// <summary>Of the sandbox.</summary>
    public ulong Id;
}
