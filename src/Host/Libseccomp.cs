using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>What a rule demands of one argument: seccomp.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct scmp_arg_cmp
{
    public uint arg;
    public uint op;
    public ulong datum_a;
    public ulong datum_b;
}

/// <summary>
/// libseccomp, which makes BPF of rules: seccomp.h. Used while building only; nothing that ships is linked with it.
/// Functions answer 0 or a negative error number.
/// </summary>
public static unsafe partial class Libseccomp
{
    private const string Library = "libseccomp.so.2";

    public const uint SCMP_ACT_KILL_PROCESS = 0x80000000;
    public const uint SCMP_ACT_TRAP = 0x00030000;
    public const uint SCMP_ACT_ALLOW = 0x7fff0000;

    public const int SCMP_FLTATR_ACT_BADARCH = 2;
    public const int SCMP_FLTATR_CTL_OPTIMIZE = 8;

    public const uint SCMP_CMP_EQ = 4;
    public const uint SCMP_CMP_MASKED_EQ = 7;

    /// <returns>A context for x86-64 alone; null without memory.</returns>
    [LibraryImport(Library)]
    public static partial void* seccomp_init(uint def_action);

    [LibraryImport(Library)]
    public static partial int seccomp_attr_set(void* ctx, int attr, uint value);

    [LibraryImport(Library)]
    public static partial int seccomp_rule_add_exact_array(
        void* ctx, uint action, int syscall, uint arg_cnt, scmp_arg_cmp* arg_array);

    [LibraryImport(Library)]
    public static partial int seccomp_export_bpf(void* ctx, int fd);

    [LibraryImport(Library)]
    public static partial void seccomp_release(void* ctx);
}
