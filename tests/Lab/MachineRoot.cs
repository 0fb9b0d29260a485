using System.Collections.Concurrent;

namespace Sandbox.Lab;

/// <summary>Roots of machine guests: busybox with all its names, and programs of this machine with their libraries.</summary>
static class MachineRoot
{
    static readonly ConcurrentDictionary<string, Lazy<string>> s_packed = new();

    /// <summary>Packs a root as a squashfs that is not compressed, once: tests run beside each other.</summary>
    /// <param name="programs">Absolute paths; the same for the same name.</param>
    /// <returns>The image, in the lab host.</returns>
    public static string With(string name, params string[] programs)
    {
        Laboratory.Need();
        return s_packed.GetOrAdd(name, its => new Lazy<string>(() => Pack(its, programs))).Value;
    }

    static string Pack(string name, string[] programs)
    {
        string image = $"build/test/machine/{name}.squashfs";
        string file = Path.Combine(Laboratory.Root, image);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        Assert.True(Laboratory.Made(out string said, "sh", ["-ec", Script, file, .. programs]), said);
        return $"{LabHost.Repository}/{image}";
    }

    const string Script =
        """
        root=$0.root
        rm -rf "$root" "$0"
        mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/run" "$root/etc" "$root/mnt"
        for applet in $(busybox --list); do
            ln -s busybox "$root/bin/$applet"
        done
        # It lists itself.
        cp --remove-destination /bin/busybox "$root/bin"
        for program in "$@"; do
            cp -L --parents "$program" $(ldd "$program" 2>/dev/null | grep -o '/[^ ]*') "$root"
        done
        mksquashfs "$root" "$0" -all-root -noI -noD -noF -noX -quiet -no-progress
        rm -rf "$root"
        """;
}
