using System.Buffers.Binary;
using System.Text;
using Sandbox.Filters;
using Sandbox.Supervisor.Jail;
using Sandbox.Vmm;

namespace Sandbox.Escape;

/// <summary>A supervisor with the hostile program beside it in place of sandbox-vmm.</summary>
sealed class HostileVmm
{
    const UnixFileMode Program = (UnixFileMode)0b111_101_101;

    readonly string _folder = World.Current.NewFolder();

    HostileVmm(JailWalls walls)
    {
        ManagedSupervisor.CopyTo(_folder, walls);
        File.Copy(Path.Combine(Path.GetDirectoryName(World.Sandbox)!, "sandbox-vmm"), Vmm);
    }

    /// <summary>The real VMM, in a jail that lacks walls.</summary>
    public static HostileVmm Replaced(JailWalls walls) => new(walls);

    /// <param name="settings">"name=value" lines: see main.c.</param>
    /// <param name="walls">What the managed build of the supervisor builds; null for the native one, which builds all.</param>
    public HostileVmm(string settings, JailWalls? walls = null)
    {
        if (walls is JailWalls chosen)
            ManagedSupervisor.CopyTo(_folder, chosen);
        else
            File.Copy(World.Sandbox, Sandbox);
        File.WriteAllBytes(Vmm, Written(settings));
        File.SetUnixFileMode(Vmm, Program);
    }

    public string Sandbox => Path.Combine(_folder, "sandbox");

    public string Vmm => Path.Combine(_folder, "sandbox-vmm");

    static byte[] Written(string settings)
    {
        byte[] program = File.ReadAllBytes(Path.Combine(World.Current.Programs, "hostile"));
        Write(program, "SETTINGS OF THE TEST\n", Encoding.ASCII.GetBytes(settings + '\0'), 1024);
        Write(program, "FILTERS OF THE TEST\n", s_filters.Value, 16384);
        return program;
    }

    static void Write(byte[] program, string mark, byte[] bytes, int room)
    {
        Assert.True(mark.Length + bytes.Length <= room, $"too long behind {mark}");
        bytes.CopyTo(program, program.AsSpan().IndexOf(Encoding.ASCII.GetBytes(mark)) + mark.Length);
    }

    /// <summary>Of a guest's thread without a writable folder, in the form that filters.c reads.</summary>
    static readonly Lazy<byte[]> s_filters = new(() =>
    [
        .. Number(Condition.OwnPid),
        .. new[] { Filter.Of(GuestNeeds.None), Filter.Of(ThreadRole.Guest) }.Select(filter => FilterCompiler.Compile(filter.Rules))
            .SelectMany(bytes => Number((uint)bytes.Length).Concat(bytes)),
        .. Number(0),
    ]);

    static byte[] Number(uint value)
    {
        byte[] bytes = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return bytes;
    }

    /// <summary>A caller with something to lose runs <c>sandbox run FLAGS -- true</c>.</summary>
    /// <param name="prefix">Words before, to run it as somebody else.</param>
    public string[] Command(string[] prefix, params string[] flags) =>
        [.. prefix, Path.Combine(World.Current.Programs, "caller"), Sandbox, "run", .. flags, "--", "true"];
}
