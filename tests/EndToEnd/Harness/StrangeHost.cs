using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd.Harness;

/// <summary>Hosts that are not like this one, as far as a program under test can tell: made in namespaces, by root.</summary>
static class StrangeHost
{
    /// <summary>A user and group that own nothing.</summary>
    public const int User = 4321;

    /// <summary>The native programs where every user can execute them; their folder.</summary>
    public static string CopyOfPrograms()
    {
        string copy = Case.NewFolder("bin");
        foreach (string file in Directory.GetFiles(Path.GetDirectoryName(Ring.Sandbox)!))
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        return copy;
    }

    /// <summary>A program that runs another where the kernel refuses system calls: see refusing.c.</summary>
    public static string Refusing()
    {
        Tool.Need("gcc");
        string program = Path.Combine(Case.NewFolder("refusing"), "refusing");
        Assert.Equal(0, Native.Run(
            ["gcc", "-O1", "-static", "-o", program, Path.Combine(Ring.Repository, "tests/EndToEnd/refusing.c")], "/").Status);
        return program;
    }

    /// <summary>Runs a script of root's in a mount namespace of its own, with a device of its own in place of /dev/kvm.</summary>
    /// <param name="mode">Octal.</param>
    /// <param name="words">$1 and so on.</param>
    public static Outcome WithKvm(string mode, int group, string script, params string[] words)
    {
        SandboxRun.Need();
        Assert.SkipUnless(geteuid() == 0, "only root can make another host of this one");
        string node = Path.Combine(Case.NewFolder("device"), "kvm");
        return Native.Run(["unshare", "-m", "bash", "-c",
            $"mknod -m {mode} {node} c 10 232 && chgrp {group} {node} && mount --bind {node} /dev/kvm || exit 99; {script}", "sh", .. words], "/");
    }

    /// <summary>A policy that requires walls.</summary>
    public static string Requiring(string walls)
    {
        string file = Path.Combine(Case.NewFolder("policy"), "walls.yaml");
        File.WriteAllText(file, $"version: 1\nextends: builtin:default.yaml\nisolation: [{walls}]\n");
        return file;
    }
}
