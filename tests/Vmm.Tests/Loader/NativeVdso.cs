using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Personality.Loader;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Loader;

/// <summary>The vDSO and a data page mapped into the test's own process, where its code runs as it does in a guest.</summary>
sealed unsafe class NativeVdso : IDisposable
{
    private readonly MemoryMapping _pages;

    public NativeVdso()
    {
        int length = VvarLayout.DistanceToImage + VdsoBytes.Bytes.Length;
        _pages = MemoryMapping.Map((nuint)length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
        VdsoBytes.Bytes.CopyTo(new Span<byte>(Image, VdsoBytes.Bytes.Length));
        int error = _pages.Protect(
            VvarLayout.DistanceToImage, (nuint)VdsoBytes.Bytes.Length, PROT_READ | PROT_EXEC);
        if (error != 0)
            throw new InvalidOperationException($"mprotect: {error}");
        Page = new VvarPage((offset, bytes) => bytes.Span.CopyTo(new Span<byte>(_pages.Address + offset, bytes.Length)));
    }

    public VvarPage Page { get; }

    public byte* Image => _pages.Address + VvarLayout.DistanceToImage;

    public int ClockGettime(int clock, out timespec time)
    {
        fixed (timespec* pointer = &time)
            return ((delegate* unmanaged<int, timespec*, int>)Find("__vdso_clock_gettime"))(clock, pointer);
    }

    public long Nanoseconds(int clock)
    {
        if (ClockGettime(clock, out timespec time) != 0)
            throw new InvalidOperationException("clock_gettime failed");
        if (time.tv_nsec is < 0 or >= 1_000_000_000)
            throw new InvalidOperationException($"tv_nsec is {time.tv_nsec}");
        return time.tv_sec * 1_000_000_000 + time.tv_nsec;
    }

    public int Gettimeofday(timeval* time, long* zone) =>
        ((delegate* unmanaged<timeval*, long*, int>)Find("__vdso_gettimeofday"))(time, zone);

    public long Time(long* seconds) => ((delegate* unmanaged<long*, long>)Find("__vdso_time"))(seconds);

    public int Getcpu(uint* cpu, uint* node) =>
        ((delegate* unmanaged<uint*, uint*, void*, int>)Find("__vdso_getcpu"))(cpu, node, null);

    /// <summary>Looks a function up as musl does: DT_HASH's count, symbol names, version.</summary>
    public nint Find(string name)
    {
        byte* image = Image;
        ulong dynamic = 0;
        ushort count = *(ushort*)(image + 56);
        for (int i = 0; i < count; i++)
        {
            byte* header = image + *(ulong*)(image + 32) + i * 56;
            if (*(uint*)header == PT_DYNAMIC)
                dynamic = *(ulong*)(header + 16);
        }
        Dictionary<long, ulong> entries = [];
        for (long* entry = (long*)(image + dynamic); *entry != DT_NULL; entry += 2)
            entries.Add(*entry, (ulong)entry[1]);
        uint symbols = ((uint*)(image + entries[DT_HASH]))[1];
        for (uint i = 1; i < symbols; i++)
        {
            byte* symbol = image + entries[DT_SYMTAB] + i * 24;
            string found = Marshal.PtrToStringUTF8((nint)(image + entries[DT_STRTAB] + *(uint*)symbol))!;
            if (found == name && (symbol[4] & 15) == STT_FUNC && *(ushort*)(symbol + 6) != 0)
                return (nint)(image + *(ulong*)(symbol + 8));
        }
        throw new InvalidOperationException($"{name} is not in the vDSO");
    }

    public void Dispose() => _pages.Dispose();
}
