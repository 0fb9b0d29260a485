namespace Sandbox.Lab;

/// <summary>Kernels for machine guests that are not the lab host's own, in the lab host.</summary>
static class MachineKernel
{
    /// <summary>The package of Debian's cloud kernel of Linux 6.12 or newer, downloaded once.</summary>
    public static string CloudPackage
    {
        get
        {
            Laboratory.Need();
            string script = Path.Combine(Laboratory.Root, "tests/Lab/image.sh");
            Assert.True(Laboratory.Made(out string said, script, Laboratory.Image, "cloud"), said);
            return Laboratory.InLab(Path.Combine(Laboratory.Image, "cloud"));
        }
    }

    /// <summary>The kernel in it.</summary>
    public static string Cloud
    {
        get
        {
            string package = CloudPackage;
            string file = Directory.GetFiles(Path.Combine(Laboratory.Image, "cloud/boot"), "vmlinuz-*").Single();
            return $"{package}/boot/{Path.GetFileName(file)}";
        }
    }

    /// <summary>
    /// The kernel of <c>kernels/minimal.config</c>, built once. Skips the test where packages for that are missing.
    /// </summary>
    public static string Minimal => Built();

    /// <summary>The same with checks of itself, built once.</summary>
    public static string Checked => Built("--with", Path.Combine(Laboratory.Root, "tests/Lab/checked-kernel.config"));

    static string Built(params string[] arguments)
    {
        Laboratory.Need();
        string folder = Directory.CreateDirectory(Path.Combine(Laboratory.Root, "build/test/machine")).FullName;
        string answer = Path.Combine(folder, $"kernel-{arguments.Length}");
        string build = Path.Combine(Laboratory.Root, "kernels/build");
        bool isBuilt = Laboratory.Made(out string said, "sh", ["-c", "exec \"$@\" >\"$0\"", answer, build, .. arguments]);
        Assert.SkipWhen(said.Contains("apt-get install", StringComparison.Ordinal), said);
        Assert.True(isBuilt, said);
        Assert.DoesNotContain("warning", said, StringComparison.Ordinal);
        return Laboratory.InLab(File.ReadAllText(answer).Trim());
    }
}
