using System.Runtime.InteropServices;
using static Sandbox.Host.Libc;

namespace Sandbox.Escape;

/// <summary>
/// What a hostile VMM may attack, and where it is started: a folder with a secret, and processes of the same user that
/// offer whatever processes can offer. Made once before the first test, removed after the last.
/// </summary>
public sealed class World : IDisposable
{
    const UnixFileMode Everyone = (UnixFileMode)0b111_111_111;

    static World? s_current;
    static int s_folders;

    public World()
    {
        // Whatever a dead sandbox leaves behind becomes this process's child, where ProcessTable finds it.
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        Folder = Directory.CreateTempSubdirectory("sandbox-escape-").FullName;
        s_current = this;
        File.SetUnixFileMode(Folder, Everyone);
        Programs = NewFolder();
        Outcome made = Start(["/usr/bin/make", "-s", $"OUT={Programs}"], Path.Combine(Repository, "tests/Escape/hostile"),
            TimeSpan.FromMinutes(5));
        if (made.Status != 0)
            throw new InvalidOperationException($"the hostile programs do not build:\n{made.ErrorText}");
    }

    public static World Current => s_current ?? throw new InvalidOperationException("there is no world yet");

    public static string Repository { get; } = FindRepository();

    /// <summary>The native program under test: SANDBOX_BIN, or what ./sandbox builds.</summary>
    public static string Sandbox { get; } =
        Environment.GetEnvironmentVariable("SANDBOX_BIN") ?? Path.Combine(Repository, "build", "bin", "sandbox");

    public string Folder { get; }

    /// <summary>hostile, what it attacks, and guests, from tests/Escape/hostile.</summary>
    public string Programs { get; }

    public static void Need()
    {
        Assert.True(File.Exists(Sandbox), $"{Sandbox} does not exist; ./sandbox builds it");
        Assert.SkipUnless(File.Exists("/dev/kvm"), "there is no /dev/kvm");
    }

    /// <summary>Open to every user of the host: what stops a VMM has to be its jail.</summary>
    public string NewFolder()
    {
        string folder = Path.Combine(Folder, $"{Interlocked.Increment(ref s_folders)}");
        Directory.CreateDirectory(folder);
        File.SetUnixFileMode(folder, Everyone);
        return folder;
    }

    /// <summary>Runs a program to its end. What is left of its group and session afterwards is in the outcome.</summary>
    internal static Outcome Start(
        string[] command, string directory, TimeSpan? timeout = null, Action<ChildProcess>? meanwhile = null) =>
        Capture.Run(command[0], command, Variables(directory), directory, null, timeout ?? TimeSpan.FromSeconds(60),
            Left, meanwhile);

    static IReadOnlyList<string> Left(ChildProcess child) =>
        [.. ProcessTable.LeftBehind(child.Pid, TimeSpan.FromSeconds(2)).Select(row => row.ToString())];

    public static string[] Variables(string directory) =>
        [$"PATH={Tool.SearchPath}", "HOME=/nonexistent", $"TMPDIR={directory}", "TERM=dumb",
            $"DOTNET_ROOT={Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../.."))}"];

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    static string FindRepository()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, "Sandbox.sln")))
                return at.FullName;
        throw new InvalidOperationException("these tests run from inside the repository");
    }
}
