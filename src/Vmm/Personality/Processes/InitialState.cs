using Sandbox.Vmm.Platforms;

namespace Sandbox.Vmm.Personality.Processes;

/// <summary>What a new thread's virtual CPU is loaded with, by its own host thread, before its first instruction.</summary>
sealed class InitialState
{
    public GuestRegisters Registers;
    public ulong FsBase;
    public ulong GsBase;

    /// <summary>Null for the state that execve gives.</summary>
    public byte[]? Extended;
}
