using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Planning;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Machine;

/// <summary>
/// The initramfs of a machine guest with a root image: the agent, its order, and the modules that it loads.
/// </summary>
static class AgentInitramfs
{
    /// <summary>What a root image and the devices of every guest take on Debian's kernels.</summary>
    private static readonly string[] s_modules =
    [
        "virtio_mmio", "virtio_blk", "virtio_rng", "virtio_balloon", "vmw_vsock_virtio_transport", "crc32c_generic",
        "crc32c_intel", "ext4", "squashfs", "erofs", "overlay",
    ];

    /// <summary>What an interface takes on top. Debian's driver depends on failover and net_failover.</summary>
    private static readonly string[] s_networkModules = ["virtio_net"];

    /// <summary>All that a guest may need; what a kernel has built in is no module.</summary>
    public static IReadOnlyList<string> ModuleNames { get; } = [.. s_networkModules, .. s_modules];

    private const string Program = "sandbox-agent";

    /// <param name="kernel">For its version, which names the folder of its modules.</param>
    /// <returns>A file in memory, sealed: what is checked is what is used.</returns>
    /// <exception cref="HostException">There is no memory for it, or no agent.</exception>
    /// <exception cref="UsageException">The modules are not where they should be, or cannot be read.</exception>
    public static FileDescriptor Build(FileDescriptor kernel, Grant.AgentInitrd wanted)
    {
        string folder = wanted.Modules ?? ModulesOf(kernel, wanted.KernelPath);
        return InMemory(Archive(ReadAgent(), new KernelModules(folder), wanted.Order));
    }

    private static string ModulesOf(FileDescriptor kernel, string path) => ModulesFolder.Of(
        KernelVersion.Of(kernel)
            ?? throw new UsageException(
                "--modules: the kernel does not say which version it is; name the folder of its modules"),
        path);

    private static byte[] ReadAgent()
    {
        string program = Path.Combine(AppContext.BaseDirectory, Program);
        try
        {
            return File.ReadAllBytes(program);
        }
        catch (IOException)
        {
            throw new HostException(
                ENOENT, "open", program, $"{Program} belongs beside sandbox; build both with ./sandbox");
        }
    }

    /// <param name="agent">The agent's program.</param>
    /// <param name="order">Without its modules.</param>
    internal static byte[] Archive(ReadOnlySpan<byte> agent, KernelModules? modules, AgentOrder order)
    {
        foreach (string name in order.Interfaces.Length == 0 ? s_modules : [.. s_modules, .. s_networkModules])
            modules?.TryAdd(name);
        List<(string Name, byte[] Content)> loading = modules?.Loading ?? [];
        // Grown by doubling it would be held twice more.
        const int heads = 64 << 10;
        using var archive = new MemoryStream(agent.Length + loading.Sum(module => module.Content.Length) + heads);
        var writer = new CpioWriter(archive);
        foreach (string folder in (ReadOnlySpan<string>)["dev", "proc", "sys", "modules"])
            writer.AddFolder(folder);
        writer.AddCharacterDevice("dev/console", 0x180, 5, 1);
        writer.AddFile("init", 0x1ed, agent);
        foreach ((string name, byte[] content) in loading)
            writer.AddFile($"modules/{name}", 0x1a4, content);
        writer.AddFile(AgentOrder.Path[1..], 0x180,
            (order with { Modules = [.. loading.Select(module => module.Name)] }).Serialize());
        writer.End();
        return archive.ToArray();
    }

    private static FileDescriptor InMemory(ReadOnlySpan<byte> rest)
    {
        FileDescriptor file = FileDescriptor.CreateMemory("initramfs", 0, MFD_ALLOW_SEALING);
        while (!rest.IsEmpty)
        {
            nint written = file.Write(rest);
            if (written is <= 0 and not -EINTR)
            {
                file.Dispose();
                throw new HostException((int)-written, "write", "initramfs");
            }
            rest = rest[(int)Math.Max(written, 0)..];
        }
        if (fcntl(file.Value, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
            return file;
        HostException failure = HostException.Last("fcntl", "F_ADD_SEALS");
        file.Dispose();
        throw failure;
    }
}
