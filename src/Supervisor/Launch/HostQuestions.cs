using System.Text;
using Sandbox.Host;
using Sandbox.Supervisor.Planning;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>Asks the host what planning needs to know.</summary>
static unsafe class HostQuestions
{
    public static HostFacts Ask(bool terminal)
    {
        winsize size = default;
        if (terminal)
            _ = ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
        return new HostFacts
        {
            Cpus = HostThread.AvailableProcessors,
            Memory = Math.Min(PhysicalMemory(), ControlGroups.MemoryLimit()),
            WorkingDirectory = WorkingDirectory(),
            TerminalType = terminal ? Environment.GetEnvironmentVariable("TERM") : null,
            Variable = Environment.GetEnvironmentVariable,
            Rows = size.ws_row,
            Columns = size.ws_col,
            OpenStreams = [StandardStreams.IsOpen(0), StandardStreams.IsOpen(1), StandardStreams.IsOpen(2)],
            Tree = new HostTree(),
        };
    }

    /// <summary>Absolute and without symlinks; null when it has been removed or lies outside of the root.</summary>
    public static string? WorkingDirectory()
    {
        const int room = 4096;
        byte* path = stackalloc byte[room];
        if (getcwd(path, room) == null || path[0] != '/')
            return null;
        return Encoding.UTF8.GetString(path, new ReadOnlySpan<byte>(path, room).IndexOf((byte)0));
    }

    static ulong PhysicalMemory()
    {
        sysinfo info;
        return sysinfo(&info) == 0 ? info.totalram * info.mem_unit : throw HostException.Last("sysinfo");
    }
}
