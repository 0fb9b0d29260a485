using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd.Harness;

/// <summary>
/// What the whole ring of tests shares: the folder it works in, the guest programs built there, and the program under
/// test. Made once before the first test, removed after the last.
/// </summary>
public sealed class Ring : IDisposable
{
    static string? s_folder;

    public Ring()
    {
        // Whatever a dead sandbox leaves behind becomes this process's child, where Leftovers finds it.
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        s_folder = Directory.CreateTempSubdirectory("sandbox-e2e-").FullName;
        // The program under test may run without the tests' user's rights: its folders must be reachable.
        File.SetUnixFileMode(s_folder, (UnixFileMode)0b111_101_101);
        GuestPrograms = Environment.GetEnvironmentVariable("SANDBOX_E2E_GUESTS") ?? Path.Combine(s_folder, "guests");
        if (!Directory.Exists(GuestPrograms))
            Build();
    }

    /// <summary>Everything the tests write is below this folder.</summary>
    public static string Folder => s_folder ?? throw new InvalidOperationException("the ring has not been set up");

    /// <summary>The built guest programs: SANDBOX_E2E_GUESTS, where somebody else has built them, or the ring's own.</summary>
    public static string GuestPrograms { get; private set; } = "";

    public static string Repository { get; } = FindRepository();

    public static string Scripts => Path.Combine(Repository, "guests", "scripts");

    /// <summary>The program under test: SANDBOX_BIN, or what ./sandbox builds.</summary>
    public static string Sandbox { get; } =
        Environment.GetEnvironmentVariable("SANDBOX_BIN") ?? Path.Combine(Repository, "build", "bin", "sandbox");

    public void Dispose()
    {
        if (Environment.GetEnvironmentVariable("SANDBOX_E2E_KEEP") is null)
            Directory.Delete(Folder, recursive: true);
    }

    static void Build()
    {
        if (Tool.Find("make") is null || Tool.Find("gcc") is null || Tool.Find("g++") is null)
            return;
        Outcome made = Native.Run(["make", "-s", "-j2", "-C", Path.Combine(Repository, "guests"), $"OUT={GuestPrograms}"],
            Repository, timeout: TimeSpan.FromMinutes(3));
        if (made.Status != 0)
            throw new InvalidOperationException($"the guest programs do not build:\n{made.ErrorText}");
    }

    static string FindRepository()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, "Sandbox.sln")))
                return at.FullName;
        throw new InvalidOperationException("these tests run from inside the repository");
    }
}
