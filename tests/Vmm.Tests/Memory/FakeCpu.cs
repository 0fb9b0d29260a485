using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Platforms;

namespace Sandbox.Vmm.Tests.Memory;

/// <summary>A processor of an address space that runs nothing: it is in the guest when the test says so.</summary>
sealed class FakeCpu : VirtualCpu
{
    private GuestRegisters _registers;
    private volatile bool _isInGuest;

    public FakeCpu(AddressSpace memory) => SeenGeneration = memory.AddProcessor(this);

    /// <summary>Whether the processor is in the guest: until it is called out.</summary>
    public bool IsInGuest
    {
        get => _isInGuest;
        set => _isInGuest = value;
    }

    /// <summary>Into the guest, as a processor goes there whose space others may change meanwhile.</summary>
    public void Enter(AddressSpace memory)
    {
        memory.CompleteEdits(this);
        SeenGeneration = memory.Generation;
        IsInGuest = true;
        Interlocked.MemoryBarrier();
        if (SeenGeneration != memory.Generation)
            IsInGuest = false;
    }

    /// <summary>How often it was called out.</summary>
    public int Interrupts { get; private set; }

    /// <summary>What happens when it is called out, before it is out.</summary>
    public Action? Interrupted { get; set; }

    /// <summary>How often edits were completed on it.</summary>
    public int Rewritten { get; private set; }

    public override bool IsRunningGuestCode => IsInGuest;

    public override void Interrupt()
    {
        Interrupts++;
        Interrupted?.Invoke();
        IsInGuest = false;
    }

    public override bool RewriteEntries(PageTableEdits edits)
    {
        Rewritten++;
        return true;
    }

    public override ref GuestRegisters Registers => ref _registers;

    public override ulong FsBase { get; set; }

    public override ulong GsBase { get; set; }

    public override ulong ExtendedStateComponents => 0;

    public override void Attach(AddressSpace memory) => throw new NotSupportedException();

    public override GuestExit Run() => throw new NotSupportedException();

    public override void SaveExtendedState(Span<byte> state) => throw new NotSupportedException();

    public override bool TryLoadExtendedState(ReadOnlySpan<byte> state) => throw new NotSupportedException();

    public override void ResetForExec() => throw new NotSupportedException();

    public override void Dispose()
    {
    }
}
