namespace Sandbox.Vmm.Memory;

/// <summary>How guest-physical memory becomes visible to the platform (KVM's memory slots).</summary>
public unsafe interface IMemorySlots
{
    /// <summary>Exposes host memory at a guest-physical address. Both and the size are page aligned.</summary>
    void Add(PhysicalAddress start, byte* host, ulong bytes);

    /// <summary>
    /// Makes the platform forget every translation that it has cached for this VM, whatever it derived it from.
    /// </summary>
    void ForgetTranslations();
}
