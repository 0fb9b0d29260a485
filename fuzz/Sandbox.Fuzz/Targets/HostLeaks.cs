using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// Sees to it that this process has no more descriptors and threads after an input than before. What leaks takes the
/// lowest free number, so one call tells; only then is everything counted.
/// </summary>
sealed unsafe class HostLeaks
{
    /// <summary>Threads of earlier inputs may take a moment to leave, and long on a busy host. Milliseconds.</summary>
    private const int Patience = 10_000;

    private readonly FileDescriptor _any = FileDescriptor.Open("/dev/null", O_RDONLY);
    private int _lowestFree = -1;
    private int _descriptors;
    private int _threads = -1;

    /// <summary>The first call counts, later ones compare.</summary>
    public void Check()
    {
        if (_threads < 0)
        {
            _lowestFree = LowestFree();
            _descriptors = CountDescriptors();
            // The runtime's own come and go.
            _threads = Threads() + 4;
            return;
        }
        if (LowestFree() > _lowestFree)
        {
            WaitUntil(() => CountDescriptors() <= _descriptors);
            int now = CountDescriptors();
            bool leaked = now > _descriptors;
            // The runtime keeps the assemblies open that it has loaded: those move the lowest free number up.
            (_descriptors, _lowestFree) = (now, LowestFree());
            OracleException.Check(!leaked, "the host process has more open descriptors than before");
        }
        if (Threads() > _threads)
        {
            WaitUntil(() => Threads() <= _threads);
            OracleException.Check(Threads() <= _threads, "the host process has more threads than before");
        }
    }

    private static void WaitUntil(Func<bool> condition)
    {
        for (int i = 0; i < Patience && !condition(); i++)
            Thread.Sleep(1);
    }

    private int LowestFree()
    {
        int number = fcntl(_any.Value, F_DUPFD_CLOEXEC, 0);
        OracleException.Check(number >= 0, "the host process has no descriptor left");
        _ = close(number);
        return number;
    }

    private static int Threads()
    {
        fixed (byte* path = "/proc/self/task\0"u8)
        {
            stat status;
            return stat(path, &status) == 0 ? (int)status.st_nlink - 2 : 0;
        }
    }

    private static int CountDescriptors() => Directory.GetFileSystemEntries("/proc/self/fd").Count(IsOurs);

    private static bool IsOurs(string descriptor)
    {
        string? target = new FileInfo(descriptor).LinkTarget;
        return target is not null && !target.EndsWith(".dll", StringComparison.Ordinal)
            && !target.EndsWith(".pdb", StringComparison.Ordinal);
    }
}
