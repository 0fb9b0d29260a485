using System.Text;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail;

/// <summary>The files in /proc/PID that say who is who in a user namespace: user_namespaces(7).</summary>
static class NamespaceMaps
{
    /// <summary>Writes one of them, once.</summary>
    /// <returns>0 or a negative error number.</returns>
    public static int TryWrite(int pid, string file, string text)
    {
        int error = FileDescriptor.TryOpen($"/proc/{pid}/{file}", O_WRONLY, 0, out FileDescriptor? map);
        if (error != 0)
            return error;
        using (map)
            return (int)Math.Min(map!.Write(Encoding.ASCII.GetBytes(text)), 0);
    }
}
