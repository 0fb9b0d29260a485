using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>Memory mappings: sys/mman.h.</summary>
public static unsafe partial class Libc
{
    /// <summary>What <see cref="mmap"/> and <see cref="mremap"/> answer on failure; never null.</summary>
    public static void* MAP_FAILED => (void*)-1;

    [LibraryImport(Library, SetLastError = true)]
    public static partial void* mmap(void* address, nuint length, int protection, int flags, int fd, long offset);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int munmap(void* address, nuint length);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int mprotect(void* address, nuint length, int protection);

    [LibraryImport(Library, SetLastError = true)]
    public static partial void* mremap(
        void* oldAddress, nuint oldLength, nuint newLength, int flags, void* newAddress);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int madvise(void* address, nuint length, int advice);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int msync(void* address, nuint length, int flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int mincore(void* address, nuint length, byte* vector);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int mlock(void* address, nuint length);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int memfd_create(byte* name, uint flags);

    public static int membarrier(int command, uint flags, int cpu) =>
        (int)syscall(SYS_membarrier, command, (nint)flags, cpu);
}
