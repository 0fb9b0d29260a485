using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>pthread.h: 56 bytes that are the C library's own.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct pthread_attr_t
{
    private fixed ulong _opaque[7];
}

/// <summary>Threads: pthread.h.</summary>
public static unsafe partial class Libc
{
    public const int PTHREAD_CREATE_DETACHED = 1;

    [LibraryImport(Library)]
    public static partial int pthread_attr_init(pthread_attr_t* attr);

    [LibraryImport(Library)]
    public static partial int pthread_attr_destroy(pthread_attr_t* attr);

    [LibraryImport(Library)]
    public static partial int pthread_attr_setdetachstate(pthread_attr_t* attr, int detachstate);

    [LibraryImport(Library)]
    public static partial int pthread_attr_setstacksize(pthread_attr_t* attr, nuint stacksize);

    /// <param name="start_routine">
    /// A function of the C library's calling convention that takes and returns a pointer.
    /// </param>
    [LibraryImport(Library)]
    public static partial int pthread_create(nuint* thread, pthread_attr_t* attr, void* start_routine, void* arg);
}
