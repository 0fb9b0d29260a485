using Sandbox.Host;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Devices;

/// <summary>A thread on which one system call fails, so that a test sees it being made.</summary>
static unsafe class RefusingThread
{
    // linux/bpf_common.h: BPF_LD | BPF_W | BPF_ABS; and struct seccomp_data: the number, and the sixth argument.
    private const ushort Load = 0x20;
    private const uint NumberOffset = 0, FlagsOffset = 16 + (5 * 8);

    /// <param name="flags">In the sixth argument: calls with others are made. Null for all.</param>
    public static void Run(int call, int? flags, Action action, int error = EIO)
    {
        Exception? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                Refuse(call, flags, error);
                action();
            }
            catch (Exception thrown)
            {
                failure = thrown;
            }
        });
        thread.Start();
        thread.Join();
        if (failure is not null)
            throw new InvalidOperationException("on the thread", failure);
    }

    private static void Refuse(int call, int? flags, int error)
    {
        const ushort jump = BPF_JMP | BPF_JEQ | BPF_K, answer = BPF_RET | BPF_K;
        sock_filter[] program =
        [
            new() { code = Load, k = NumberOffset },
            new() { code = jump, k = (uint)call, jf = 3 },
            new() { code = Load, k = flags is null ? NumberOffset : FlagsOffset },
            new() { code = jump, k = (uint)(flags ?? call), jf = 1 },
            new() { code = answer, k = SECCOMP_RET_ERRNO | (uint)error },
            new() { code = answer, k = SECCOMP_RET_ALLOW },
        ];
        fixed (sock_filter* first = program)
        {
            sock_fprog filter = new() { len = (ushort)program.Length, filter = first };
            Assert.Equal(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
            Assert.Equal(0, seccomp(SECCOMP_SET_MODE_FILTER, 0, &filter));
        }
    }
}
