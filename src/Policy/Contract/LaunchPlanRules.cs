using System.Text;

namespace Sandbox.Policy.Contract;

/// <summary>
/// What a well-formed plan keeps to beyond its wire form. Checked once, when the plan is read, so that the VMM can
/// rely on it everywhere else.
/// </summary>
static class LaunchPlanRules
{
    public const int MaximumCpus = 256;
    public const int MaximumProcesses = 4096;

    /// <summary>Descriptors that fit into one message beside the plan's own: SCM_MAX_FD is 253.</summary>
    public const int MaximumDescriptors = 252;

    /// <summary>Less has no room for the page tables of one process.</summary>
    public const ulong MinimumMemory = 1UL << 20;

    /// <summary>What guest-physical memory has room for.</summary>
    public const ulong MaximumMemory = 252UL << 30;

    /// <summary>What its table of interrupt controllers has room for.</summary>
    public const int MaximumMachineCpus = 16;

    /// <summary>Less holds no kernel.</summary>
    public const ulong MinimumMachineMemory = 16UL << 20;

    /// <summary>COMMAND_LINE_SIZE of x86 without the terminating NUL.</summary>
    public const int MaximumCommandLine = 2047;

    /// <summary>Others of a machine guest's devices have the rest of its places.</summary>
    public const int MaximumDisks = 8;

    public const int MaximumTaps = 4;

    /// <summary>Of a TAP device: as many pairs can an interface have.</summary>
    public const int MaximumTapQueues = 8;

    const int MacBytes = 6;

    /// <summary>PATH_MAX without the terminating NUL, in bytes.</summary>
    const int MaximumPath = 4095;

    const ulong PageBytes = 4096;

    /// <summary>NAME_MAX, in bytes.</summary>
    const int MaximumName = 255;

    public static void Check(LaunchPlan plan)
    {
        Require(plan.Arguments.Length > 0, "no program");
        foreach (string argument in plan.Arguments)
            RequireText(argument, "argument");
        Require(plan.Arguments[0].Length > 0, "the program's name is empty");
        foreach (string variable in plan.Environment)
        {
            RequireText(variable, "variable");
            Require(variable.IndexOf('=', StringComparison.Ordinal) > 0, "a variable is not NAME=value");
        }

        RequirePath(plan.WorkingDirectory, "working directory");
        RequireText(plan.Hostname, "host name");
        Require(plan.Hostname.Length is > 0 and <= 64 && Ascii.IsValid(plan.Hostname), "host name");
        CheckUser(plan.User);
        CheckLimits(plan.Limits);
        CheckFiles(plan.Files);
        if (plan.PathRules is not null)
            PathTablesCheck.Check(plan.PathRules);
        if (plan.SystemCallRules is not null)
            SystemCallTablesCheck.Check(plan.SystemCallRules);
        CheckStreams(plan.Streams);
        Require(plan.Network is null || IsDescriptor(plan.Network.Broker), "network descriptor");
        if (plan.Audit is not null)
            Require(
                IsDescriptor(plan.Audit.Descriptor) && plan.Audit.WhenFull is >= WhenFull.Block and <= WhenFull.Stop,
                "audit");
        if (plan.Machine is not null)
            CheckMachine(plan, plan.Machine);
    }

    static void CheckUser(GuestUser user)
    {
        RequireText(user.Name, "user name");
        Require(user.Name.Length > 0, "the user's name is empty");
        RequirePath(user.Home, "home");
        Require(user.Uid != uint.MaxValue && user.Gid != uint.MaxValue, "user or group number -1");
    }

    static void CheckLimits(GuestLimits limits)
    {
        Require(limits.MemoryBytes is >= MinimumMemory and <= MaximumMemory, "memory limit");
        Require(limits.Cpus is >= 1 and <= MaximumCpus, "cpus");
        Require(limits.WallMilliseconds >= 0, "wall-clock limit");
        Require(limits.CpuMilliseconds >= 0, "cpu-time limit");
        Require(limits.Processes is >= 1 and <= MaximumProcesses, "processes");
        Require(limits.OutputBytes >= 0, "output limit");
        Require(limits.TmpBytes <= limits.MemoryBytes, "more in-memory files than memory");
        Require(limits.OpenFiles is >= 3 and <= 1 << 20, "open files");
    }

    static void CheckFiles(GuestFile[] files)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (GuestFile file in files)
        {
            RequirePath(file.Path, "file");
            Require(file.Path != "/", "the root is not an entry");
            Require(seen.Add(file.Path), "two files at one path");
            Require(file.Mode <= 0xfff, "file mode");
            bool host = file.Kind == GuestFileKind.Host;
            Require(host ? IsDescriptor(file.Descriptor) : file.Descriptor == -1, "file descriptor");
            bool bounded = file.Kind == GuestFileKind.Temporary || (host && file.Writable);
            Require(
                file.Bytes == 0 || (bounded && file.Bytes is >= PageBytes and <= long.MaxValue), "size of a folder");
            bool content = file.Kind is GuestFileKind.Text or GuestFileKind.Symlink;
            Require(content == file.Content is not null, "file content");
            if (file.Kind == GuestFileKind.Symlink)
            {
                RequireText(file.Content!, "symlink");
                Require(file.Content!.Length > 0 && Encoding.UTF8.GetByteCount(file.Content) <= MaximumPath,
                    "symlink length");
            }

            Require(!file.Writable || file.Kind is GuestFileKind.Host or GuestFileKind.Temporary,
                "a writable file of this kind");
        }

        CheckOrder(files);
    }

    /// <summary>A folder must come before what it holds.</summary>
    static void CheckOrder(GuestFile[] files)
    {
        var above = new HashSet<string>(StringComparer.Ordinal);
        foreach (GuestFile file in files)
        {
            Require(!above.Contains(file.Path), "a folder after what it holds");
            for (int slash = file.Path.LastIndexOf('/'); slash > 0; slash = file.Path.LastIndexOf('/', slash - 1))
                if (!above.Add(file.Path[..slash]))
                    break;
        }
    }

    static void CheckStreams(GuestStreams streams)
    {
        foreach (int stream in (ReadOnlySpan<int>)[streams.Stdin, streams.Stdout, streams.Stderr, streams.Result,
            streams.Trace])
            Require(stream == -1 || IsDescriptor(stream), "stream descriptor");
        Require(!streams.Terminal || (streams.Stdin >= 0 && streams.Stdout >= 0), "a terminal without streams");
    }

    static void CheckMachine(LaunchPlan plan, GuestMachine machine)
    {
        Require(plan.Files.Length == 0 && plan.Network is null && plan.Audit is null && plan.Streams.Trace == -1,
            "a machine guest with what only process guests have");
        Require(machine.Agent || machine.VirtioConsole || !plan.Streams.Terminal, "a terminal without an agent");
        Require(!machine.Agent || !machine.VirtioConsole, "a virtio console beside an agent");
        Require(plan.Limits.Cpus <= MaximumMachineCpus, "cpus of a machine guest");
        Require(plan.Limits.MemoryBytes >= MinimumMachineMemory && plan.Limits.MemoryBytes % PageBytes == 0,
            "memory of a machine guest");
        Require(IsDescriptor(machine.Kernel) && (machine.Initrd == -1 || IsDescriptor(machine.Initrd)),
            "kernel descriptor");
        Require(machine.CommandLine.Length <= MaximumCommandLine
            && machine.CommandLine.AsSpan().IndexOfAnyExceptInRange(' ', '~') < 0, "kernel command line");
        Require(machine.Disks.Length <= MaximumDisks, "disks");
        foreach (GuestDisk disk in machine.Disks)
            Require(IsDescriptor(disk.Descriptor), "disk descriptor");
        CheckTaps(machine.Taps);
        Require(machine.Vsock == -1 || IsDescriptor(machine.Vsock), "vsock descriptor");
        Require(!machine.Agent || machine.Initrd != -1, "an agent without an initrd");
    }

    static void CheckTaps(GuestTap[] taps)
    {
        Require(taps.Length <= MaximumTaps, "taps");
        for (int i = 0; i < taps.Length; i++)
        {
            GuestTap tap = taps[i];
            Require(tap.Descriptors.Length is > 0 and <= MaximumTapQueues, "queues of a tap");
            foreach (int descriptor in tap.Descriptors)
                Require(IsDescriptor(descriptor), "tap descriptor");
            Require(tap.Mac.Length == MacBytes && (tap.Mac[0] & 1) == 0 && tap.Mac.AsSpan().ContainsAnyExcept((byte)0),
                "MAC address");
            Require(tap.Address.Length is 0 or 4 or 16, "address of a tap");
            // Of one address for two interfaces the guest could not tell which is which.
            for (int other = 0; other < i; other++)
                Require(!tap.Mac.AsSpan().SequenceEqual(taps[other].Mac), "a MAC address of two taps");
        }
    }

    static bool IsDescriptor(int index) => index is >= 0 and < MaximumDescriptors;

    static void RequireText(string text, string what)
    {
        if (text.Contains('\0'))
            throw new PlanException(what + " holds a NUL");
    }

    static void RequirePath(string path, string what)
    {
        RequireText(path, what);
        if (!IsNormalPath(path))
            throw new PlanException(what + " is not an absolute, normalised path");
    }

    static bool IsNormalPath(string path)
    {
        if (path.Length == 0 || Encoding.UTF8.GetByteCount(path) > MaximumPath || path[0] != '/')
            return false;
        if (path == "/")
            return true;
        foreach (Range range in path.AsSpan(1).Split('/'))
        {
            ReadOnlySpan<char> name = path.AsSpan(1)[range];
            if (name is "" or "." or ".." || Encoding.UTF8.GetByteCount(name) > MaximumName)
                return false;
        }
        return true;
    }

    static void Require(bool condition, string what)
    {
        if (!condition)
            throw new PlanException(what);
    }
}
