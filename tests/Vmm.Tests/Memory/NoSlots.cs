using Sandbox.Vmm.Memory;

namespace Sandbox.Vmm.Tests.Memory;

/// <summary>Guest memory that no virtual machine sees.</summary>
sealed unsafe class NoSlots : IMemorySlots
{
    public void Add(PhysicalAddress start, byte* host, ulong bytes)
    {
    }

    public void ForgetTranslations()
    {
    }
}
