using Sandbox.Gate;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Filters.Tests;

/// <summary>A system call that a filter stops, in a child with the VMM's handler of SIGSYS.</summary>
public sealed unsafe class ForbiddenCallTests
{
    [Fact]
    public void IsNamedToTheSupervisorAndEndsTheProcess()
    {
        byte[] filter = FilterCompiler.Compile(Filter.Of(ThreadRole.Guest).Rules);
        (FileDescriptor mine, FileDescriptor theirs) = SeqpacketChannel.CreatePair();
        using SeqpacketChannel channel = new(mine);
        using MachineCode handler = new(ForbiddenCallCode.Assemble(), "handler");
        using ChildScript script = new();
        using (theirs)
        {
            sock_fprog* program = script.Place(new sock_fprog
            {
                len = (ushort)(filter.Length / sizeof(sock_filter)),
                filter = (sock_filter*)script.PlaceAll<byte>(filter),
            });
            kernel_sigaction* action = script.Place(new kernel_sigaction
            {
                sa_handler = (ulong)handler.Address, sa_restorer = (ulong)handler.Address,
                sa_flags = SA_SIGINFO | SA_RESTORER, sa_mask = ulong.MaxValue,
            });
            script.Add("dup2", SYS_dup2, theirs.Value, StartDescriptors.Channel);
            script.Add("rt_sigaction", SYS_rt_sigaction, SIGSYS, (nint)action, 0, sizeof(ulong));
            script.Add("prctl", SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);
            script.Add("seccomp", SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (nint)program);
            script.Add("getpid", SYS_getpid);
            script.Add("socket", SYS_socket, AF_INET, SOCK_STREAM);
            // A last step without an answer would count as an execve.
            script.Add("never", SYS_getpid);
            Assert.Equal(0, script.Start(0, -1, out int pid, out FileDescriptor? pidfd));
            pidfd!.Dispose();
            script.WaitUntilGone();
            int status;
            Assert.Equal(pid, waitpid(pid, &status, 0));
            Assert.True(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, $"status {status:x}");
        }
        Assert.Equal(("socket", EINTR), script.Failure);
        Assert.True(channel.Receive(out ChannelMessage message));
        Assert.Equal((ChannelMessage.CurrentVersion, MessageKind.Ended, EndCause.Failed, (long)VmmFailure.ForbiddenCall),
            (message.Version, message.Kind, message.Cause, message.Detail));
        Assert.Equal((SYS_socket, AF_INET, SOCK_STREAM),
            ((int)message.Value, (int)(message.Value >> 32), (int)message.Detail32));
    }
}
