using System.Globalization;
using Sandbox.Host;
using Sandbox.Supervisor.Jail;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// A VMM started before anyone knows whether it will be needed. If the command line turns out to be wrong it is
/// ended again, unused; if it could not be started, that is told only when it is asked for.
/// </summary>
sealed class EarlyVmm : IDisposable
{
    const string ProgramName = "sandbox-vmm";
    const string KvmDevice = "/dev/kvm";

    /// <summary>
    /// Of runtimeconfig.json: the walls to build, as a number. Only the managed build that tests run reads such a file; the
    /// native program has no settings that come from outside.
    /// </summary>
    public const string WallsSetting = "Sandbox.Walls";

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

    /// <summary>Beside this program: both come from one build.</summary>
    public static string ProgramPath =>
        Path.Combine(Path.GetDirectoryName(Environment.ProcessPath ?? "/proc/self/exe") ?? "/", ProgramName);

    public static EarlyVmm Start()
    {
        try
        {
            using FileDescriptor kvm = OpenKvm();
            return new EarlyVmm(VmmProcess.Start(ProgramPath, kvm, Walls), null);
        }
        catch (HostException failure)
        {
            return new EarlyVmm(null, failure);
        }
    }

    static JailWalls Walls =>
        AppContext.GetData(WallsSetting) is string number
            ? (JailWalls)int.Parse(number, CultureInfo.InvariantCulture)
            : JailWalls.All;

    static FileDescriptor OpenKvm()
    {
        int error = FileDescriptor.TryOpen(KvmDevice, O_RDWR, 0, out FileDescriptor? kvm);
        return error == 0 ? kvm! : throw new HostException(-error, "open", KvmDevice, error switch
        {
            -EACCES or -EPERM => "join the kvm group (sudo usermod -aG kvm \"$USER\") and log in again",
            _ => "run sandbox doctor to see what is missing",
        });
    }

    public void Dispose() => _process?.Dispose();
}
