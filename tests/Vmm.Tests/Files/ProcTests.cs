using System.Globalization;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Tests.Processes;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

/// <summary>/proc and /sys of a guest with one process that does not run.</summary>
public sealed class ProcTests : IDisposable
{
    private const ulong MemoryLimit = 64 << 20;

    private readonly ScriptedGuest _guest = new();
    private readonly LinuxPersonality _personality;
    private readonly GuestThread _thread;
    private readonly VirtualFileSystem _tree;
    private readonly Caller _caller;

    public ProcTests()
    {
        _personality = _guest.Personality;
        _personality.BuildFiles([]);
        _tree = _personality.Files;
        _thread = _personality.CreateFirstProcess(new DescriptorTable(256), _tree.CreateContext(_tree.Root));
        _thread.Name = "a (b) c";
        AddressSpace memory = _guest.Memory.CreateAddressSpace()!;
        Assert.Equal(0x10000, memory.Map(
            new VirtualAddress(0x10000), 2 * Page.Size, Protection.ReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, null, 0));
        Assert.True(memory.TryWrite(new VirtualAddress(0x10000), "prog\0arg one\0\0A=1\0B=2\0"u8));
        _thread.Process.Memory = memory;
        _thread.Process.ArgumentArea = (0x10000, 0x1000e);
        _thread.Process.EnvironmentArea = (0x1000e, 0x10016);
        _caller = Caller.Of(_thread);
    }

    private long Open(string path, int flags, out OpenFile? file, Caller? caller = null) =>
        _tree.Open(caller ?? _caller, _tree.Root, GuestTree.Bytes(path), flags, 0x1b6, WalkFlags.None, out file);

    private string Read(string path)
    {
        long result = Open(path, O_RDONLY, out OpenFile? file);
        Assert.True(result == 0, $"{path}: {Errno.Name((int)-result)}");
        string text = GuestTree.ReadAll(file!);
        file!.Release();
        return text;
    }

    private long Link(string path, out string target, Caller? caller = null)
    {
        target = "";
        long result = VirtualFileSystem.Resolve(
            caller ?? _caller, _tree.Root, GuestTree.Bytes(path), WalkFlags.None, out Dentry? link);
        if (result < 0)
            return result;
        result = link!.Inode.ReadLink(link, caller ?? _caller, out byte[] text);
        target = Encoding.UTF8.GetString(text);
        return result;
    }

    private Dictionary<string, string> Fields(string path, char separator = ':') => Read(path)
        .Split('\n', StringSplitOptions.RemoveEmptyEntries)
        .Select(line => line.Split(separator, 2)).GroupBy(static f => f[0].Trim())
        .ToDictionary(static g => g.Key, static g => g.First()[1].Trim());

    [Fact]
    public void SelfIsTheReader()
    {
        Assert.Equal(0, Link("/proc/self", out string self));
        Assert.Equal($"{_thread.Process.Pid}", self);
        Assert.Equal(0, Link("/proc/thread-self", out self));
        Assert.Equal($"{_thread.Process.Pid}/task/{_thread.Tid}", self);
        Assert.Equal(Read("/proc/self/stat"), Read($"/proc/{_thread.Process.Pid}/stat"));
        Assert.Equal("a (b) c\n", Read("/proc/thread-self/comm"));
        Assert.Equal(-ENOENT, Open("/proc/4000/stat", O_RDONLY, out _));
        Assert.Equal(-ENOENT, Open("/proc/02/stat", O_RDONLY, out _));
        Assert.Equal(-ENOENT, Open("/proc/99999999999999999999/stat", O_RDONLY, out _));
    }

    [Fact]
    public void StatHasFiftyTwoFields()
    {
        string stat = Read("/proc/self/stat");
        Assert.StartsWith($"{_thread.Process.Pid} (a (b) c) ", stat);
        string[] rest = stat[(stat.LastIndexOf(')') + 2)..].TrimEnd('\n').Split(' ');
        Assert.Equal(50, rest.Length);
        Assert.Single(rest[0]);
        Assert.All(rest[1..], static field => Assert.True(decimal.TryParse(field, CultureInfo.InvariantCulture, out _), field));
        Assert.Equal("1", rest[17]);
        Assert.Equal($"{2 * Page.Size}", rest[20]);
        Assert.Equal($"{0x10000}", rest[45]);
    }

    [Fact]
    public void StatusNamesWhatProgramsLookFor()
    {
        Dictionary<string, string> status = Fields("/proc/self/status");
        Assert.Equal("a (b) c", status["Name"]);
        Assert.Equal("1000\t1000\t1000\t1000", status["Uid"]);
        Assert.Equal("0022", status["Umask"]);
        Assert.Equal("1", status["Threads"]);
        Assert.Equal("8 kB", status["VmSize"]);
        Assert.Equal(16, status["SigBlk"].Length);
        Assert.Equal("0000000000000000", status["CapEff"]);
        Assert.Contains("Cpus_allowed_list", status.Keys);
        Assert.Equal(7, Read("/proc/self/statm").Split(' ').Length);
    }

    [Fact]
    public void MemoryOfTheProcessIsShown()
    {
        Assert.Equal("prog\0arg one\0\0", Read("/proc/self/cmdline"));
        Assert.Equal("A=1\0B=2\0", Read("/proc/self/environ"));
        Assert.Equal("00010000-00012000 rw-p 00000000 00:00 0 \n", Read("/proc/self/maps"));
    }

    [Fact]
    public void DescriptorsAreLinksToOpenFiles()
    {
        Assert.Equal(0, Open("/dev/shm/x", O_CREAT | O_RDWR, out OpenFile? file));
        Assert.Equal(5, file!.Write("hello"u8));
        int number = _thread.Descriptors.Add(file, closeOnExec: true);
        Assert.Equal(0, Link($"/proc/self/fd/{number}", out string target));
        Assert.Equal("/dev/shm/x", target);
        Assert.Equal(0, VirtualFileSystem.Resolve(
            _caller, _tree.Root, GuestTree.Bytes($"/proc/self/fd/{number}"), WalkFlags.None, out Dentry? link));
        Assert.Equal(0, link!.Inode.GetStatus(link, out InodeStatus status));
        Assert.Equal(64, status.Size);
        Assert.Equal("hello", Read($"/proc/self/fd/{number}"));
        Assert.Equal("hello", Read($"/dev/fd/{number}"));
        Assert.Equal(0, VirtualFileSystem.Unlink(_caller, _tree.Root, "/dev/shm/x"u8));
        Assert.Equal(0, Link($"/proc/self/fd/{number}", out target));
        Assert.Equal("/dev/shm/x (deleted)", target);
        // The link leads to the file, not to a name.
        Assert.Equal("hello", Read($"/proc/self/fd/{number}"));
        Assert.Equal($"pos:\t5\nflags:\t02000002\nmnt_id:\t{((InodeFile)file).Dentry.Mount.Id}\nino:\t{((InodeFile)file).Inode.Number}\n",
            Read($"/proc/self/fdinfo/{number}"));
        Assert.Equal(-ENOENT, Open("/proc/self/fd/200", O_RDONLY, out _));
        Assert.Equal(-ELOOP, VirtualFileSystem.Resolve(_caller, _tree.Root, GuestTree.Bytes($"/proc/self/fd/{number}"),
            WalkFlags.Follow | WalkFlags.NoMagicLinks, out _));
        Assert.Equal(-ENOTDIR, Open($"/proc/self/fd/{number}/x", O_RDONLY, out _));
        Assert.Equal(0, Open("/proc/self/fd", O_RDONLY | O_DIRECTORY, out OpenFile? list));
        Assert.Equal([".", "..", $"{number}"], GuestTree.ListRest((DirectoryFile)list!));
        list!.Release();
    }

    [Fact]
    public void CreatingThroughALinkToADescriptorOpensIt()
    {
        Assert.Equal(0, Open("/dev/shm/x", O_CREAT | O_RDWR, out OpenFile? file));
        int number = _thread.Descriptors.Add(file!, closeOnExec: false);
        Assert.Equal(0, Open($"/dev/fd/{number}", O_CREAT | O_WRONLY | O_TRUNC, out OpenFile? again));
        Assert.Equal(1, again!.Write("y"u8));
        again.Release();
        Assert.Equal("y", Read("/dev/shm/x"));
    }

    [Fact]
    public void PlacesOfAProcessAreLinks()
    {
        Assert.Equal(0, Link("/proc/self/cwd", out string target));
        Assert.Equal("/", target);
        Assert.Equal(0, Link("/proc/self/root", out target));
        Assert.Equal("/", target);
        Assert.Equal(-ENOENT, Link("/proc/self/exe", out _));
        Assert.Equal(0, Open("/dev/null", O_RDONLY, out OpenFile? file));
        _thread.Process.ExecutableFile = file;
        Assert.Equal(0, Link("/proc/self/exe", out target));
        Assert.Equal("/dev/null", target);
    }

    [Fact]
    public void OtherUsersSeeOnlyWhatIsPublic()
    {
        Caller other = _caller with { Credentials = Credentials.Of(2000, 2000), Thread = null };
        string self = $"/proc/{_thread.Process.Pid}";
        Assert.Equal(0, Open(self + "/stat", O_RDONLY, out _, other));
        Assert.Equal(-EACCES, Open(self + "/environ", O_RDONLY, out _, other));
        Assert.Equal(-EACCES, Open(self + "/maps", O_RDONLY, out _, other));
        Assert.Equal(-EACCES, Open(self + "/fd", O_RDONLY, out _, other));
        Assert.Equal(-EACCES, Link(self + "/cwd", out _, other));
        Assert.Equal(-EACCES, Open(self + "/root/dev/null", O_RDONLY, out _, other));
    }

    [Fact]
    public void MountsAreTheGuests()
    {
        string[] lines = Read("/proc/self/mountinfo").TrimEnd('\n').Split('\n');
        Assert.Equal(_tree.Mounts.Count, lines.Length);
        Assert.All(lines, static line => Assert.Matches(@"^\d+ \d+ \d+:\d+ / /\S* r[ow],\S+ - \S+ \S+ r[ow]$", line));
        Assert.Contains(lines, static line => line.Contains(" / /sys/fs/cgroup ", StringComparison.Ordinal)
            && line.Contains(" - cgroup2 ", StringComparison.Ordinal));
        Assert.Equal(lines.Length, Read("/proc/mounts").TrimEnd('\n').Split('\n').Length);
        Assert.Equal("0::/\n", Read("/proc/self/cgroup"));
    }

    [Fact]
    public void TheMachineIsTheGuestsOwn()
    {
        Dictionary<string, string> memory = Fields("/proc/meminfo");
        Assert.Equal($"{MemoryLimit >> 10} kB", memory["MemTotal"]);
        Assert.Equal($"{MemoryLimit}\n", Read("/sys/fs/cgroup/memory.max"));
        int cpus = _personality.CpuCount;
        Assert.Equal(cpus, Read("/proc/cpuinfo").Split("processor\t:").Length - 1);
        Assert.Contains(" sse2 ", Fields("/proc/cpuinfo")["flags"] + " ");
        Assert.Equal(cpus == 1 ? "0\n" : $"0-{cpus - 1}\n", Read("/sys/devices/system/cpu/online"));
        Assert.Equal($"{cpus * 100000} 100000\n", Read("/sys/fs/cgroup/cpu.max"));
        string[] stat = Read("/proc/stat").Split('\n');
        Assert.StartsWith("cpu  ", stat[0]);
        Assert.Equal(cpus, stat.Count(static l => l.StartsWith("cpu", StringComparison.Ordinal)) - 1);
        Assert.Contains(stat, static l => l.StartsWith("btime ", StringComparison.Ordinal));
        Assert.Matches(@"^\d+\.\d\d \d+\.\d\d\n$", Read("/proc/uptime"));
        Assert.Matches(@"^\d+\.\d\d \d+\.\d\d \d+\.\d\d \d+/\d+ \d+\n$", Read("/proc/loadavg"));
        Assert.Equal("guest\n", Read("/proc/sys/kernel/hostname"));
        Assert.NotEqual(Read("/proc/sys/kernel/random/uuid"), Read("/proc/sys/kernel/random/uuid"));
        Assert.Equal(Read("/proc/sys/kernel/random/boot_id"), Read("/proc/sys/kernel/random/boot_id"));
        Assert.Equal(-ENOENT, Open("/proc/kallsyms", O_RDONLY, out _));
        Assert.Equal(-ENOENT, Open("/proc/self/mem", O_RDWR, out _));
        Assert.Equal(-ENOENT, Open("/proc/self/ns/net", O_RDONLY, out _));
    }

    [Fact]
    public void EveryListedFileCanBeFoundAndRead()
    {
        int files = 0;
        void Walk(string path)
        {
            Assert.Equal(0, Open(path, O_RDONLY | O_DIRECTORY, out OpenFile? directory));
            foreach (string name in GuestTree.ListRest((DirectoryFile)directory!).Where(static n => n is not ("." or "..")))
            {
                string child = path == "/" ? "/" + name : $"{path}/{name}";
                Assert.Equal(0, VirtualFileSystem.Resolve(
                    _caller, _tree.Root, GuestTree.Bytes(child), WalkFlags.None, out Dentry? found));
                if (found!.Inode.IsDirectory)
                    Walk(child);
                else if (found.Inode.IsRegular)
                    Read(child);
                files++;
            }
            directory!.Release();
        }

        Walk("/proc");
        Walk("/sys");
        Assert.InRange(files, 100, 5000);
    }

    [Fact]
    public void AFewFilesCanBeWritten()
    {
        Assert.Equal(0, Open("/proc/self/comm", O_WRONLY | O_TRUNC, out OpenFile? file));
        Assert.Equal(30, file!.Write("a-name-that-is-much-too-long!\n"u8));
        file.Release();
        Assert.Equal("a-name-that-is-\n", Read("/proc/self/comm"));
        Assert.Equal(0, Open("/proc/self/oom_score_adj", O_RDWR, out file));
        Assert.Equal(4, file!.Write("500\n"u8));
        Assert.Equal(-EACCES, file.Write("400\n"u8));
        Assert.Equal(-EINVAL, file.Write("1001"u8));
        Assert.Equal(-EINVAL, file.Write("x"u8));
        file.Release();
        Assert.Equal("500\n", Read("/proc/self/oom_score_adj"));
        Assert.Equal(-EACCES, Open("/proc/meminfo", O_WRONLY, out _));
        Assert.Equal(-ENOENT, VirtualFileSystem.MakeDirectory(
            _caller with { Credentials = Credentials.Of(0, 0) }, _tree.Root, "/proc/new"u8, 0x1ff));
    }

    [Theory]
    [InlineData(1, -1, "1")]
    [InlineData(2, -1, "3")]
    [InlineData(2, 1, "2")]
    [InlineData(32, -1, "ffffffff")]
    [InlineData(34, -1, "3,ffffffff")]
    [InlineData(34, 0, "0,00000001")]
    [InlineData(64, 63, "80000000,00000000")]
    public void CpuMasksAreInGroups(int count, int only, string mask) =>
        Assert.Equal(mask, ProcSystem.CpuMask(count, only));

    [Fact]
    public void OpenFilesAreBoundedAndGivenBack()
    {
        long before = _personality.KernelMemory.Used;
        List<OpenFile> open = [];
        long result;
        while ((result = Open("/proc/cpuinfo", O_RDONLY, out OpenFile? file)) == 0 && open.Count < 1_000_000)
            open.Add(file!);
        Assert.Equal(-ENFILE, result);
        Assert.InRange(open.Count, 100, 65536);
        Assert.InRange(_personality.KernelMemory.Used, 0, _personality.KernelMemory.Limit);
        while ((result = Open("/dev/null", O_RDONLY, out OpenFile? file)) == 0)
            open.Add(file!);
        Assert.Equal(-ENFILE, result);
        // Nothing is made for an open that cannot succeed.
        Assert.Equal(-ENFILE, Open("/dev/shm/new", O_CREAT | O_RDWR, out _));
        Assert.Equal(-ENFILE, _tree.CreateMemoryFile(_caller, "x"u8, 0, out _));
        Assert.Equal(-ENOENT, VirtualFileSystem.Resolve(
            _caller, _tree.Root, "/dev/shm/new"u8, WalkFlags.None, out _));
        foreach (OpenFile file in open)
            file.Release();
        Assert.Equal(before, _personality.KernelMemory.Used);
    }

    [Fact]
    public void AListingIsChargedUntilItsEndOrBeginning()
    {
        List<int> held = [];
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(0, Open("/dev/null", O_RDONLY, out OpenFile? file));
            held.Add(_thread.Descriptors.Add(file!, closeOnExec: false));
        }
        Assert.Equal(0, Open("/proc/self/fd", O_RDONLY | O_DIRECTORY, out OpenFile? opened));
        DirectoryFile list = (DirectoryFile)opened!;
        KernelMemory memory = _personality.KernelMemory;
        long before = memory.Used;
        // An entry is an array with the name and its place in a list: 64 bytes at the very least.
        const long Listed = 102 * 64;
        byte[] some = new byte[64];
        Assert.InRange(list.ReadEntries(some), 1, 64);
        Assert.InRange(memory.Used - before, Listed, 4 * Listed);
        Assert.Equal(0, list.Seek(0, SEEK_SET));
        Assert.Equal(before, memory.Used);
        Assert.Equal(102, GuestTree.ListRest(list).Count);
        Assert.Equal(before, memory.Used);
        Assert.Equal(0, list.ReadEntries(some));
        Assert.Equal(102, list.Seek(0, SEEK_CUR));
        Assert.Equal(0, list.ReadEntries(some));
        // seekdir(3) to a place in what has been read.
        Assert.Equal(100, list.Seek(100, SEEK_SET));
        Assert.Equal(2, GuestTree.ListRest(list).Count);
        list.Seek(0, SEEK_SET);
        list.ReadEntries(some);
        Assert.InRange(memory.Used - before, Listed, 4 * Listed);
        list.Release();
        Assert.Equal(before - KernelMemory.ObjectCost, memory.Used);

        Assert.Equal(0, Open("/proc/self/fd", O_RDONLY | O_DIRECTORY, out opened));
        long rest = memory.Limit - memory.Used - 1000;
        Assert.True(memory.TryReserve(rest));
        Assert.Equal(-ENOMEM, ((DirectoryFile)opened!).ReadEntries(new byte[4096]));
        Assert.Equal(memory.Limit - 1000, memory.Used);
        memory.Release(rest);
        Assert.Equal(102, GuestTree.ListRest((DirectoryFile)opened).Count);
        opened.Release();
        foreach (int descriptor in held)
            _thread.Descriptors.Close(null, descriptor);
    }

    // The process has never run: there is no end to wait for.
    public void Dispose() => _guest.Memory.Dispose();
}
