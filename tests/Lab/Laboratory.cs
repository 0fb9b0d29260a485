using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Sandbox.Lab;

/// <summary>
/// What the ring shares: the image that lab hosts boot, the guest programs, and three lab hosts, each started for its first
/// test and ended behind the last.
/// </summary>
public sealed class Laboratory : IDisposable
{
    static readonly Lazy<LabHost> s_host = new(() => new LabHost(new LabHostOptions { Name = "lab" }));
    static readonly Lazy<LabHost> s_ringHost = new(() =>
        new LabHost(new LabHostOptions { Name = "rings", Memory = 5000, IsRecent = true, HasScratch = true }));
    static readonly Lazy<LabHost> s_machineHost = new(() => new LabHost(new LabHostOptions { Name = "machines" }));

    static string? s_missing;

    public Laboratory()
    {
        foreach (string program in new[] { "qemu-system-x86_64", "busybox", "make", "gcc", "g++", "setpriv", "mkfs.ext4" })
            if (!"/usr/bin:/bin:/usr/sbin:/sbin".Split(':').Any(folder => File.Exists(Path.Combine(folder, program))))
                s_missing ??= $"{program} is not installed";
        string image = Path.Combine(Root, "tests/Lab/image.sh");
        if (s_missing is null && (!Made(out string said, image, Image) || !Made(out said, image, Image, "recent")))
            s_missing = said;
        string guests = Path.Combine(Image, "guests");
        if (s_missing is null
            && !Made(out said, "make", "-s", "-j2", "-C", Path.Combine(Root, "guests"), $"OUT={guests}"))
            throw new InvalidOperationException($"the guest programs do not build:\n{said}");
    }

    /// <summary>The repository.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>What lab hosts and their guests boot.</summary>
    public static string Image => Path.Combine(Root, "build/lab");

    /// <summary>The kernel and initramfs of such a lab host.</summary>
    internal static string ImageOf(LabHostOptions options) => options.IsRecent ? Path.Combine(Image, "recent") : Image;

    /// <summary>One folder for each lab host: its console, and its cases with all that they wrote.</summary>
    public static string Logs => Path.Combine(Root, "build/test/lab");

    /// <summary>True when <c>./test --lab-all</c> asked for the slow tests too.</summary>
    public static bool All => Environment.GetEnvironmentVariable("SANDBOX_LAB_ALL") is not null;

    /// <summary>For the test programs that are run in the lab: the runtime that runs this one.</summary>
    public static string DotnetRoot { get; } =
        Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../.."));

    /// <summary>The guest programs' folder, in the lab host.</summary>
    public static string GuestsInLab => $"{LabHost.Repository}/build/lab/guests";

    /// <summary>The program under test, in the lab host.</summary>
    public static string SandboxInLab => $"{LabHost.Repository}/build/bin/sandbox";

    /// <summary>The lab host of process guests. Skips the test where there cannot be one.</summary>
    internal static LabHost Host
    {
        get
        {
            Need();
            return s_host.Value;
        }
    }

    /// <summary>The lab host of machine guests. Skips the test where there cannot be one.</summary>
    internal static LabHost MachineHost
    {
        get
        {
            Need();
            return s_machineHost.Value;
        }
    }

    /// <summary>The lab host of other rings' tests. Skips the test where there cannot be one.</summary>
    internal static LabHost RingHost
    {
        get
        {
            Need();
            return s_ringHost.Value;
        }
    }

    internal static void Need()
    {
        Assert.SkipUnless(s_missing is null, s_missing ?? "");
        string program = Path.Combine(Root, "build/bin/sandbox");
        Assert.True(File.Exists(program), $"{program} does not exist; ./sandbox builds it");
    }

    public void Dispose()
    {
        foreach (Lazy<LabHost> host in new[] { s_host, s_ringHost, s_machineHost })
            if (host.IsValueCreated)
                host.Value.Dispose();
    }

    /// <summary>Runs a program on this machine; false, and its last words, when it fails.</summary>
    internal static bool Made(out string said, string program, params IEnumerable<string> arguments)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        said = process.StandardError.ReadToEnd().Trim();
        process.WaitForExit();
        return process.ExitCode == 0;
    }

    /// <summary>A program of this folder for lab hosts and guests, linked statically.</summary>
    /// <returns>Its file on this machine.</returns>
    internal static string Compiled(string name)
    {
        Need();
        string program = Path.Combine(Programs, name);
        string source = Path.Combine(Root, "tests/Lab", name + ".c");
        Assert.True(Made(out string said, "gcc", "-O1", "-static", "-pthread", "-o", program, source), said);
        return program;
    }

    /// <summary>How often this machine's time-stamp counter counts in a millisecond.</summary>
    internal static string CounterRate => s_counterRate.Value;

    static readonly Lazy<string> s_counterRate = new(() =>
    {
        ProcessStartInfo start = new(Compiled("tsc-rate")) { RedirectStandardOutput = true };
        using Process process = Process.Start(start)!;
        return process.StandardOutput.ReadToEnd().Trim();
    });

    /// <summary>A file with a text, in the lab host.</summary>
    internal static string Written(string name, string text)
    {
        File.WriteAllText(Path.Combine(Programs, name), text);
        return InLab(Path.Combine(Programs, name));
    }

    /// <summary>A file of the repository, in the lab host.</summary>
    internal static string InLab(string file) => $"{LabHost.Repository}/{Path.GetRelativePath(Root, file)}";

    static string Programs => Directory.CreateDirectory(Path.Combine(Root, "build/test/machine")).FullName;

    static string FindRoot()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, "Sandbox.sln")))
                return at.FullName;
        throw new InvalidOperationException("these tests run from inside the repository");
    }
}
