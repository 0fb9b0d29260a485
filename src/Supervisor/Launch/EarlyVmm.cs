using System.Globalization;
using Sandbox.Host;
using Sandbox.Supervisor.Doctor;
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
    /// Of runtimeconfig.json: the walls to build, as a number. Only the managed build that tests run reads such a file;
    /// the native program has no settings that come from outside.
    /// </summary>
    public const string WallsSetting = "Sandbox.Walls";

    VmmProcess? _process;
    HostException? _failure;

    /// <summary>One that is started when it is asked for.</summary>
    public static EarlyVmm None => new();

    /// <exception cref="HostException">It could not be started.</exception>
    public VmmProcess Process
    {
        get
        {
            if (_process is null && _failure is null)
                TryStart();
            return _process ?? throw _failure!;
        }
    }

    /// <summary>Beside this program: both come from one build.</summary>
    public static string ProgramPath =>
        Path.Combine(Path.GetDirectoryName(Environment.ProcessPath ?? "/proc/self/exe") ?? "/", ProgramName);

    public static EarlyVmm Start()
    {
        var vmm = new EarlyVmm();
        vmm.TryStart();
        return vmm;
    }

    void TryStart()
    {
        try
        {
            using FileDescriptor kvm = OpenKvm();
            _process = VmmProcess.Start(ProgramPath, kvm, Walls);
        }
        catch (HostException failure)
        {
            _failure = failure;
        }
    }

    /// <summary>
    /// Another VMM in place of the first, which ends: in a jail that suits what turned out to be granted.
    /// </summary>
    /// <param name="without">Walls that cannot be built after all.</param>
    /// <param name="reason">Why not, for people.</param>
    /// <exception cref="HostException">It could not be started.</exception>
    public VmmProcess Restart(JailWalls without, string reason)
    {
        BuiltJail first = Process.Jail;
        Process.Dispose();
        using FileDescriptor kvm = OpenKvm();
        _process = VmmProcess.Start(ProgramPath, kvm, first.Walls & ~without);
        _process.Confirm();
        _process.Lacks(first.Missing | without, first.Reason ?? reason);
        return _process;
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
            -EACCES or -EPERM => KvmDiagnosis.HowToBeLetIn(KvmFacts.NodeOf(KvmDevice)),
            _ => "run sandbox doctor to see what is missing",
        });
    }

    public void Dispose() => _process?.Dispose();
}
