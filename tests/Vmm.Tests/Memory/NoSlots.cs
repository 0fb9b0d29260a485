using Sandbox.Vmm.Memory;

namespace Sandbox.Vmm.Tests.Memory;

/// <summary>Guest memory that no processor runs on.</summary>
sealed unsafe class NoSlots : IMemorySlots
{
    public void Add(PhysicalAddress start, byte* host, ulong bytes)
    {
    }

    public void ForgetTranslations()
    {
    }
}
