using System.Runtime.InteropServices;
using Sandbox.Host;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Filters.Tests;

/// <summary>What became of a call.</summary>
enum CallEnd
{
    /// <summary>The filter let the kernel have it.</summary>
    Allowed,

    /// <summary>The filter answered in its place.</summary>
    Refused,

    /// <summary>The filter stopped it, and the process with it.</summary>
    Stopped,
}

/// <summary>Child processes that put a filter on and make one system call.</summary>
static unsafe class FilteredChild
{
    /// <summary>
    /// What filters under test answer instead of allowing a call: no call of a test does anything to the machine, and
    /// no argument has to make sense.
    /// </summary>
    private const int AllowedErrno = 4000;

    /// <param name="program">struct sock_filter, one after another. Process numbers stay the placeholder.</param>
    /// <param name="arguments">Six.</param>
    public static CallEnd Try(byte[] program, int number, ReadOnlySpan<ulong> arguments)
    {
        sock_filter[] harmless = MemoryMarshal.Cast<byte, sock_filter>(program).ToArray();
        foreach (ref sock_filter instruction in harmless.AsSpan())
            if (instruction is { code: BPF_RET, k: SECCOMP_RET_ALLOW })
                instruction.k = SECCOMP_RET_ERRNO | AllowedErrno;

        using ChildScript script = new();
        sock_fprog* whole = script.Place(new sock_fprog
        {
            len = (ushort)harmless.Length, filter = script.PlaceAll<sock_filter>(harmless),
        });
        script.Add("prctl", SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);
        script.Add("seccomp", SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (nint)whole);
        script.Add("the call", number, (nint)arguments[0], (nint)arguments[1], (nint)arguments[2], (nint)arguments[3],
            (nint)arguments[4], (nint)arguments[5]);
        // Which the filter allows; reached when it answers 0 in the place of the call.
        script.Add("the next", SYS_getpid);
        // A last step without an answer would count as an execve.
        script.Add("never", SYS_getpid);
        Assert.Equal(0, script.Start(0, -1, out int pid, out FileDescriptor? pidfd));
        pidfd!.Dispose();
        script.WaitUntilGone();
        int status;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        {
        }
        (string name, int error) = Assert.NotNull(script.Failure);
        if (name == "the next")
            return CallEnd.Refused;
        Assert.Equal("the call", name);
        if (error == EINTR)
        {
            Assert.True(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, $"system call {number}: status {status:x}");
            return CallEnd.Stopped;
        }
        return error == AllowedErrno ? CallEnd.Allowed : CallEnd.Refused;
    }
}
