using Sandbox.Host;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// A VMM started before anyone knows whether it will be needed. If the command line turns out to be wrong it is
/// ended again, unused; if it could not be started, that is told only when it is asked for.
/// </summary>
sealed class EarlyVmm : IDisposable
{
    const string ProgramName = "sandbox-vmm";

    readonly VmmProcess? _process;
    readonly HostException? _failure;

    EarlyVmm(VmmProcess? process, HostException? failure)
    {
        _process = process;
        _failure = failure;
    }

    public static EarlyVmm None { get; } = new(null, null);

    /// <exception cref="HostException">It could not be started.</exception>
    public VmmProcess Process => _process ?? throw _failure ?? throw new InvalidOperationException("no VMM was started");

    /// <summary>Starts the VMM that lies beside this program.</summary>
    public static EarlyVmm Start()
    {
        try
        {
            string own = Environment.ProcessPath ?? "/proc/self/exe";
            return new EarlyVmm(VmmProcess.Start(Path.Combine(Path.GetDirectoryName(own) ?? "/", ProgramName)), null);
        }
        catch (HostException failure)
        {
            return new EarlyVmm(null, failure);
        }
    }

    public void Dispose() => _process?.Dispose();
}
