using Sandbox.Host;
using static Sandbox.Host.Libseccomp;

namespace Sandbox.Filters;

/// <summary>Rules as BPF, by libseccomp: x86-64 alone, and what no rule allows stops with SIGSYS.</summary>
static unsafe class FilterCompiler
{
    /// <summary>A binary tree over the numbers instead of a list; libseccomp 2.5.</summary>
    private const uint BinaryTree = 2;

    /// <returns>struct sock_filter, one after another.</returns>
    /// <exception cref="HostException">libseccomp does not take a rule.</exception>
    public static byte[] Compile(IEnumerable<Rule> rules)
    {
        void* context = seccomp_init(SCMP_ACT_TRAP);
        if (context is null)
            throw new HostException(Libc.ENOMEM, "seccomp_init");
        try
        {
            Check(seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "SCMP_FLTATR_ACT_BADARCH");
            Check(seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, BinaryTree), "SCMP_FLTATR_CTL_OPTIMIZE");
            foreach (Rule rule in rules)
                foreach ((Condition Condition, ulong Value)[] combination in rule.Combinations())
                    Add(context, rule, combination);
            return Export(context);
        }
        finally
        {
            seccomp_release(context);
        }
    }

    private static void Add(void* context, Rule rule, (Condition Condition, ulong Value)[] combination)
    {
        Span<scmp_arg_cmp> compares = stackalloc scmp_arg_cmp[6];
        for (int i = 0; i < combination.Length; i++)
        {
            (Condition condition, ulong value) = combination[i];
            compares[i] = condition.Mask == ulong.MaxValue
                ? new scmp_arg_cmp { arg = condition.Argument, op = SCMP_CMP_EQ, datum_a = value }
                : new scmp_arg_cmp
                {
                    arg = condition.Argument, op = SCMP_CMP_MASKED_EQ, datum_a = condition.Mask, datum_b = value,
                };
        }
        uint action = rule.Errno is int error ? Libc.SECCOMP_RET_ERRNO | (uint)error : SCMP_ACT_ALLOW;
        fixed (scmp_arg_cmp* first = compares)
            Check(
                seccomp_rule_add_exact_array(context, action, rule.Number, (uint)combination.Length, first), rule.Name);
    }

    private static byte[] Export(void* context)
    {
        using FileDescriptor file = FileDescriptor.CreateMemory("filter", 0);
        Check(seccomp_export_bpf(context, file.Value), "seccomp_export_bpf");
        byte[] bytes = new byte[file.Seek(0, Libc.SEEK_END)];
        nint read = file.ReadAt(bytes, 0);
        return read == bytes.Length ? bytes : throw new HostException(Libc.EIO, "read", "filter");
    }

    private static void Check(int result, string what)
    {
        if (result < 0)
            throw new HostException(-result, "libseccomp", what);
    }
}
