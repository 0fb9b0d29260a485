using Sandbox.Host;
using Sandbox.Supervisor.Launch;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// This process as the supervisor of a detached sandbox: the caller's standard error is its own until the guest has
/// started, the caller's other streams never are, and what is written to stdout and stderr, by the guest above all, is
/// kept in the sandbox's folder.
/// </summary>
sealed unsafe class DetachedSupervisor : IDisposable
{
    /// <summary>The first word of its command line, which people never write.</summary>
    public const string Command = "supervise";

    /// <summary>A socket to the caller: one <see cref="DetachedReport"/>.</summary>
    public const int ReportDescriptor = 3;

    /// <summary>The caller's standard error.</summary>
    public const int ErrorDescriptor = 4;

    readonly SeqpacketChannel _caller;
    readonly FileDescriptor _callersError;
    readonly OutputKeeper _output;
    readonly OutputKeeper _error;
    bool _reported;

    DetachedSupervisor(SeqpacketChannel caller, FileDescriptor callersError)
    {
        _caller = caller;
        _callersError = callersError;
        // The VMM has a copy of stderr from its start: it must not be the caller's.
        _output = OutputKeeper.Of(STDOUT_FILENO);
        _error = OutputKeeper.Of(STDERR_FILENO);
        StandardStreams.ErrorNumber = callersError.Value;
    }

    /// <summary>Null for an ordinary command line.</summary>
    /// <param name="arguments">From here on what the caller wrote.</param>
    /// <exception cref="HostException">The host has no descriptor left.</exception>
    public static DetachedSupervisor? TryBecome(ref string[] arguments)
    {
        if (arguments is not [Command, ..] || !IsReportSocket())
            return null;
        arguments = arguments[1..];
        foreach (int number in (ReadOnlySpan<int>)[ReportDescriptor, ErrorDescriptor])
            if (fcntl(number, F_SETFD, FD_CLOEXEC) != 0)
                throw HostException.Last("fcntl", "F_SETFD");
        return new DetachedSupervisor(
            new SeqpacketChannel(new FileDescriptor(ReportDescriptor)), new FileDescriptor(ErrorDescriptor));
    }

    static bool IsReportSocket()
    {
        int type;
        uint length = sizeof(int);
        return getsockopt(ReportDescriptor, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
    }

    /// <summary>Keeps what comes from now on in a sandbox's folder.</summary>
    /// <exception cref="UsageException">There is no room for it.</exception>
    public void KeepOutput(StateFolder folder)
    {
        _output.Start(folder, StateFolder.OutputName);
        _error.Start(folder, StateFolder.ErrorName);
    }

    /// <summary>Tells the caller, and is alone from here on.</summary>
    /// <returns>False when the caller has gone, and with it whoever would know of the sandbox.</returns>
    public bool ReportStart(SandboxId id)
    {
        bool told = Report(new DetachedReport { HasStarted = 1, Id = id.Value });
        StandardStreams.ErrorNumber = STDERR_FILENO;
        _callersError.Dispose();
        // The caller's folder may be unmounted.
        fixed (byte* root = "/\0"u8)
            chdir(root);
        return told;
    }

    /// <summary>Tells the caller that there is no guest, unless there was one.</summary>
    public void ReportEnd(int status)
    {
        if (!_reported)
            Report(new DetachedReport { Status = status });
    }

    bool Report(in DetachedReport report)
    {
        _reported = true;
        bool told = _caller.TrySend(report, wait: false) == 0;
        _caller.Dispose();
        return told;
    }

    /// <summary>The VMM has ended: keeps the last of its output.</summary>
    /// <param name="line">What the command line says about the end; null for nothing.</param>
    public void EndOutput(string? line)
    {
        if (line is not null)
            StandardStreams.WriteError(line);
        _output.End();
        _error.End();
    }

    public void Dispose()
    {
        _caller.Dispose();
        _callersError.Dispose();
        _output.End();
        _error.End();
    }
}
