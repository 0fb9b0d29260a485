using Sandbox.Vmm.Personality.Files;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// Releases files that were inside sockets. A socket may hold a socket that holds a socket, thousands deep: they are
/// closed one after the other, never one inside the other's close, or a guest could overflow the VMM's stack.
/// </summary>
static class DeferredRelease
{
    [ThreadStatic]
    private static Queue<OpenFile>? t_pending;

    [ThreadStatic]
    private static bool t_running;

    public static void Release(ReadOnlySpan<OpenFile> files)
    {
        Queue<OpenFile> pending = t_pending ??= new Queue<OpenFile>();
        foreach (OpenFile file in files)
            pending.Enqueue(file);
        if (t_running)
            return;
        t_running = true;
        while (pending.TryDequeue(out OpenFile? file))
            file.Release();
        t_running = false;
    }
}
