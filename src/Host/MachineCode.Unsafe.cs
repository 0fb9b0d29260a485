using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>Machine code of sandbox-gate's, in memory that can be executed and not written.</summary>
public sealed unsafe class MachineCode : IDisposable
{
    private readonly MemoryMapping _memory;

    /// <exception cref="HostException">No memory, or the host refuses an executable page.</exception>
    public MachineCode(ReadOnlySpan<byte> code, string what)
    {
        _memory = MemoryMapping.Map(
            (nuint)code.Length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, what: what);
        code.CopyTo(new Span<byte>(_memory.Address, code.Length));
        int error = _memory.Protect(0, _memory.Length, PROT_READ | PROT_EXEC);
        if (error == 0)
            return;
        _memory.Dispose();
        throw new HostException(-error, "mprotect", what);
    }

    /// <summary>Of the first instruction.</summary>
    public void* Address => _memory.Address;

    public void Dispose() => _memory.Dispose();
}
