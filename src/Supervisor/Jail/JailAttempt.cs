using Sandbox.Host;
using Sandbox.Supervisor.Jail.Cgroups;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail;

/// <summary>A process that is building its jail, and becomes the VMM when it has.</summary>
sealed class JailAttempt : IDisposable
{
    readonly ChildScript _script;
    (string Step, int Errno)? _mapFailure;

    JailAttempt(ChildScript script, int pid, FileDescriptor pidfd)
    {
        _script = script;
        Pid = pid;
        Pidfd = pidfd;
    }

    public int Pid { get; }

    /// <summary>When it was cloned and, once built, when its jail stood: CLOCK_MONOTONIC nanoseconds.</summary>
    public (long Cloned, long Built) At { get; private set; }

    /// <summary>Whoever takes it over closes it.</summary>
    public FileDescriptor Pidfd { get; }

    /// <summary>Does not wait for the jail: that takes about as long as the caller has other things to do.</summary>
    /// <param name="wanted">Those that are to be built, and those that the host refuses.</param>
    /// <returns>0, or a negative error number when there is no process.</returns>
    /// <exception cref="HostException">The host has no memory left.</exception>
    public static int TryStart(
        JailWalls walls, JailWalls wanted, in JailDescriptors descriptors, string program, GuestGroup? group,
        out JailAttempt? attempt)
    {
        attempt = null;
        ChildScript script = new();
        JailScript.Write(script, walls, wanted, descriptors, program, group);
        long now = HostClock.MonotonicNanoseconds();
        int error = script.Start(
            JailScript.CloneFlags(walls, group), group?.Into?.Value ?? -1, out int pid, out FileDescriptor? pidfd);
        if (error != 0)
        {
            script.Dispose();
            return error;
        }

        attempt = new JailAttempt(script, pid, pidfd!) { At = (now, 0) };
        if (walls.HasFlag(JailWalls.User))
            attempt.WriteMaps();
        return 0;
    }

    /// <summary>
    /// Root maps everybody, so that owners are shown as they are, and so does root of a container, as far as he can.
    /// Others may map themselves only, and give up setgroups for it: user_namespaces(7).
    /// </summary>
    void WriteMaps()
    {
        const string everybody = "0 0 4294967295";
        bool mapsEverybody = geteuid() == 0 && Write("uid_map", everybody) is null;
        if (mapsEverybody)
            _mapFailure = Write("gid_map", everybody);
        else
            _mapFailure = Write("setgroups", "deny")
                ?? Write("uid_map", Only(geteuid())) ?? Write("gid_map", Only(getegid()));
        static string Only(uint id) => $"{id} {id} 1";
        if (_mapFailure is null)
            _script.Release();
        else
            pidfd_send_signal(Pidfd.Value, SIGKILL);
    }

    (string, int)? Write(string file, string text)
    {
        int error = NamespaceMaps.TryWrite(Pid, file, text);
        return error == 0 ? null : (file, -error);
    }

    /// <summary>Waits until the jail stands or has failed.</summary>
    /// <returns>What failed; null when the VMM runs.</returns>
    public (string Step, int Errno)? WaitUntilBuilt()
    {
        _script.WaitUntilGone();
        At = (At.Cloned, _script.ClockNanoseconds);
        return _mapFailure ?? _script.Failure;
    }

    /// <summary>Only once built or failed.</summary>
    public void Dispose() => _script.Dispose();
}
