using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Loader;

/// <summary>
/// The vDSO and its data page, shared by all processes of the guest: clock_gettime, gettimeofday, time and getcpu
/// without leaving the guest (vdso(7)).
/// </summary>
public sealed class Vdso
{
    private readonly PagedObject _image;
    private readonly PagedObject _data;

    /// <summary>Fails when the guest's memory limit does not even allow these pages.</summary>
    public static Vdso? Create(GuestMemory memory)
    {
        PagedObject image = memory.CreateObject("[vdso]", 0, 0, null);
        PagedObject data = memory.CreateObject("[vvar]", 0, 0, null);
        Vdso vdso = new(image, data);
        bool written = image.Write(0, VdsoBytes.Bytes) == VdsoBytes.Bytes.Length
            && data.Write(0, new byte[VvarLayout.DistanceToImage]) == VvarLayout.DistanceToImage;
        if (written)
            return vdso;
        vdso.Release();
        return null;
    }

    private Vdso(PagedObject image, PagedObject data)
    {
        _image = image;
        _data = data;
        Page = new VvarPage(data);
    }

    /// <summary>The data page's writer.</summary>
    public VvarPage Page { get; }

    /// <summary>Maps both below <paramref name="top"/>.</summary>
    /// <param name="top">Page-aligned; nothing is mapped in the 64 KiB below it.</param>
    /// <param name="header">AT_SYSINFO_EHDR.</param>
    /// <returns>0 or a negative errno.</returns>
    /// <remarks>
    /// Both are private mappings: pages nobody writes to stay shared with the object, so that updates arrive, and a
    /// program that makes them writable only changes a copy of its own.
    /// </remarks>
    public long Map(AddressSpace space, ulong top, out ulong header)
    {
        ulong length = (ulong)VdsoBytes.Bytes.Length;
        header = top - length;
        long mapped = space.Map(
            new VirtualAddress(header), length, Protection.Read | Protection.Execute, MAP_PRIVATE | MAP_FIXED, _image, 0);
        if (mapped < 0)
            return mapped;
        mapped = space.Map(
            new VirtualAddress(header - VvarLayout.DistanceToImage), VvarLayout.DistanceToImage, Protection.Read,
            MAP_PRIVATE | MAP_FIXED, _data, 0);
        return mapped < 0 ? mapped : 0;
    }

    public void Release()
    {
        _image.Release();
        _data.Release();
    }
}
