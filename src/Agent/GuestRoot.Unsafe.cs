using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Agent;

/// <summary>What the guest's kernel is asked to do before the program runs: modules, mounts, a name.</summary>
static unsafe class GuestRoot
{
    private const string Disk = "/dev/vda";

    /// <summary>What images are made of, the likeliest first.</summary>
    private static readonly string[] s_fileSystems = ["ext4", "squashfs", "erofs"];

    public static void MountKernelFiles()
    {
        Mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID);
        Mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
        Mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC);
    }

    public static void Say(string text)
    {
        fixed (byte* bytes = Encoding.UTF8.GetBytes(text))
            _ = write(STDERR_FILENO, bytes, (nuint)Encoding.UTF8.GetByteCount(text));
    }

    public static AgentOrder ReadOrder()
    {
        try
        {
            return AgentOrder.Deserialize(File.ReadAllBytes(AgentOrder.Path));
        }
        catch (Exception failure) when (failure is IOException or PlanException)
        {
            throw new AgentException(AgentStep.Order, EIO);
        }
    }

    public static void LoadModules(string[] names)
    {
        foreach (string name in names)
        {
            int error = FileDescriptor.TryOpen($"/modules/{name}", O_RDONLY, 0, out FileDescriptor? file);
            if (error != 0)
                throw new AgentException(AgentStep.Module, -error);
            byte none = 0;
            // One that is needed after all is missed by a mount; one for other hardware is missed by nobody.
            if (finit_module(file!.Value, &none, 0) != 0)
                Say($"sandbox-agent: module {name}: error {errno}\n");
            file.Dispose();
        }
    }

    /// <summary>
    /// Makes the disk's file system the root of this process, with the kernel's own file systems in it.
    /// </summary>
    public static void Enter(AgentOrder order)
    {
        MountDisk(order.WritableRoot);
        string root = order.WritableRoot ? "/lower" : Overlay();
        foreach (string kernels in (string[])["/dev", "/proc", "/sys"])
        {
            // An image may lack the folder; with an overlay it can be made.
            MakeFolder(root + kernels);
            Mount(kernels, root + kernels, null, MS_MOVE);
        }
        Call(AgentStep.Mount, Path(root, chdir));
        Mount(".", "/", null, MS_MOVE);
        Call(AgentStep.Mount, Path(".", chroot));
        Call(AgentStep.Mount, Path("/", chdir));
        // Programs expect these; an image that has no place for them does without.
        MakeFolder("/dev/shm");
        MakeFolder("/dev/pts");
        _ = TryMount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, null);
        _ = TryMount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "ptmxmode=0666");
        _ = TryMount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
        // The kernel's own /dev has none of these; written to, they would be files in memory, and the output lost.
        Link("/proc/self/fd", "/dev/fd");
        Link("/proc/self/fd/0", "/dev/stdin");
        Link("/proc/self/fd/1", "/dev/stdout");
        Link("/proc/self/fd/2", "/dev/stderr");
        fixed (byte* name = Encoding.UTF8.GetBytes(order.Hostname))
            _ = sethostname(name, (nuint)Encoding.UTF8.GetByteCount(order.Hostname));
    }

    private static void MountDisk(bool writable)
    {
        MakeFolder("/lower");
        if (!Patience.Until(() => File.Exists(Disk)))
            throw new AgentException(AgentStep.Root, ENOENT);
        int telling = 0;
        foreach (string type in s_fileSystems)
        {
            int error = TryMount(Disk, "/lower", type, writable ? 0 : MS_RDONLY, null);
            if (error == 0)
                return;
            // That it is of another kind, or that the kernel does not know this kind, says little of the image.
            if (telling is 0 or EINVAL or ENODEV)
                telling = error;
        }
        throw new AgentException(AgentStep.Root, telling);
    }

    /// <summary>The root below, and what changes in memory above.</summary>
    private static string Overlay()
    {
        MakeFolder("/upper");
        Mount("tmpfs", "/upper", "tmpfs", 0);
        MakeFolder("/upper/files");
        MakeFolder("/upper/work");
        MakeFolder("/new");
        int error =
            TryMount("overlay", "/new", "overlay", 0, "lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work");
        return error == 0 ? "/new" : throw new AgentException(AgentStep.Mount, error);
    }

    private static void MakeFolder(string path)
    {
        fixed (byte* name = ZeroEnded(path))
            _ = mkdir(name, 0x1ed);
    }

    private static void Link(string target, string path)
    {
        fixed (byte* to = ZeroEnded(target), name = ZeroEnded(path))
            _ = symlinkat(to, AT_FDCWD, name);
    }

    private static void Mount(string source, string target, string? type, int flags) =>
        Call(AgentStep.Mount, TryMount(source, target, type, flags, null));

    /// <returns>0 or an errno.</returns>
    private static int TryMount(string source, string target, string? type, int flags, string? data)
    {
        fixed (byte* from = ZeroEnded(source), to = ZeroEnded(target), kind = ZeroEnded(type),
            options = ZeroEnded(data))
            return mount(from, to, kind, (nuint)flags, options) == 0 ? 0 : errno;
    }

    private delegate int PathCall(byte* path);

    private static int Path(string path, PathCall call)
    {
        fixed (byte* name = ZeroEnded(path))
            return call(name) == 0 ? 0 : errno;
    }

    private static void Call(AgentStep step, int error)
    {
        if (error != 0)
            throw new AgentException(step, error);
    }

    private static byte[]? ZeroEnded(string? text) => text is null ? null : Encoding.UTF8.GetBytes(text + '\0');
}
