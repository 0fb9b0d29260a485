using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;

namespace Sandbox.Vmm.Personality.Loader;

/// <summary>A program that is ready to run: its address space and where it starts, and what /proc shows of it.</summary>
/// <remarks>
/// Owns a reference to <see cref="Memory"/> and one to <see cref="Executable"/>: whoever takes it passes both on to a
/// process or calls <see cref="Discard"/>.
/// </remarks>
public sealed class LoadedProgram
{
    public required AddressSpace Memory { get; init; }

    /// <summary>RIP of the first instruction: the interpreter's when there is one.</summary>
    public required ulong EntryPoint { get; init; }

    /// <summary>RSP at the first instruction. All other registers start as zero.</summary>
    public required ulong StackPointer { get; init; }

    /// <summary>What /proc/PID/exe names: for a script, its interpreter.</summary>
    public required OpenFile Executable { get; init; }

    /// <summary>/proc/PID/comm: the last component of the path, at most 15 bytes.</summary>
    public required byte[] CommandName { get; init; }

    /// <summary>/proc/PID/cmdline is what lies here now; the program may have changed it.</summary>
    public required ulong ArgumentsStart { get; init; }

    public required ulong ArgumentsEnd { get; init; }

    /// <summary>/proc/PID/environ.</summary>
    public required ulong EnvironmentStart { get; init; }

    public required ulong EnvironmentEnd { get; init; }

    /// <summary>/proc/PID/auxv.</summary>
    public required byte[] AuxiliaryVector { get; init; }

    /// <summary>The executable segments' bounds, for /proc/PID/stat and statm.</summary>
    public required ulong CodeStart { get; init; }

    public required ulong CodeEnd { get; init; }

    /// <summary>The end of the initial stack.</summary>
    public required ulong StackTop { get; init; }

    public required ulong BreakStart { get; init; }

    public required ulong VdsoAddress { get; init; }

    /// <summary>Gives everything back when the program will not run.</summary>
    public void Discard()
    {
        Memory.Release();
        Executable.Release();
    }
}
