using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>
/// syscall(2), for calls that the C library does not wrap, or wraps with another layout than the kernel's.
/// Answers -1 with <see cref="errno"/> set on failure.
/// </summary>
public static unsafe partial class Libc
{
    [LibraryImport(Library, SetLastError = true)]
    public static partial long syscall(long number);

    [LibraryImport(Library, SetLastError = true)]
    public static partial long syscall(long number, nint a1);

    [LibraryImport(Library, SetLastError = true)]
    public static partial long syscall(long number, nint a1, nint a2);

    [LibraryImport(Library, SetLastError = true)]
    public static partial long syscall(long number, nint a1, nint a2, nint a3);

    [LibraryImport(Library, SetLastError = true)]
    public static partial long syscall(long number, nint a1, nint a2, nint a3, nint a4);

    [LibraryImport(Library, SetLastError = true)]
    public static partial long syscall(long number, nint a1, nint a2, nint a3, nint a4, nint a5);

    [LibraryImport(Library, SetLastError = true)]
    public static partial long syscall(long number, nint a1, nint a2, nint a3, nint a4, nint a5, nint a6);
}
