using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>
/// A thread of the C library's that runs managed code and does not keep the process alive. The runtime's own are no
/// other, but whoever starts one of those waits until it runs: a tenth of a millisecond, or a time slice where no CPU
/// is free.
/// </summary>
public sealed unsafe class WorkThread
{
    private readonly ManualResetEventSlim _hasEnded = new(false, spinCount: 0);
    private readonly string? _name;
    private readonly Action _work;

    private WorkThread(string? name, Action work) => (_name, _work) = (name, work);

    /// <param name="name">For those who look at the process; the kernel keeps 15 bytes. Null: that of its starter.</param>
    /// <param name="stackBytes">PTHREAD_STACK_MIN, 16 KiB, at least.</param>
    /// <param name="work">An exception that leaves it ends the process.</param>
    /// <exception cref="HostException">The host gives no more threads: pthread_create(3).</exception>
    public static WorkThread Start(string? name, int stackBytes, Action work)
    {
        WorkThread thread = new(name, work);
        GCHandle handle = GCHandle.Alloc(thread);
        pthread_attr_t attributes;
        nuint id;
        int error = pthread_attr_init(&attributes);
        if (error == 0)
        {
            _ = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
            error = pthread_attr_setstacksize(&attributes, (nuint)stackBytes);
            delegate* unmanaged[Cdecl]<nint, nint> run = &Run;
            if (error == 0)
                error = pthread_create(&id, &attributes, run, (void*)GCHandle.ToIntPtr(handle));
            _ = pthread_attr_destroy(&attributes);
        }
        if (error == 0)
            return thread;
        handle.Free();
        throw new HostException(error, "pthread_create", name);
    }

    /// <summary>Waits until the work is done.</summary>
    public void Join() => _hasEnded.Wait();

    /// <summary>Waits so long at most.</summary>
    /// <returns>Whether the work is done.</returns>
    public bool Join(TimeSpan limit) => _hasEnded.Wait(limit);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static nint Run(nint handle)
    {
        GCHandle given = GCHandle.FromIntPtr(handle);
        WorkThread thread = (WorkThread)given.Target!;
        given.Free();
        if (thread._name is not null)
            fixed (byte* name = Encoding.UTF8.GetBytes(thread._name + '\0'))
                _ = prctl(PR_SET_NAME, (nuint)name, 0, 0, 0);
        thread._work();
        thread._hasEnded.Set();
        return 0;
    }
}
