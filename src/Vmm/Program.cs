using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm;

static class Program
{
    /// <summary>
    /// Started by the supervisor with the channel and KVM, and nothing else; see <see cref="StartDescriptors"/>. What
    /// becomes of the guest is said over the channel; the exit status only tells whether there was someone to say it to.
    /// </summary>
    private static unsafe int Main()
    {
        // The supervisor's death is the guest's end.
        _ = prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        // No core dump, and no look inside for other processes of its user.
        _ = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        if (fcntl(StartDescriptors.Channel, F_GETFD, 0) < 0 || fcntl(StartDescriptors.Kvm, F_GETFD, 0) < 0)
        {
            StandardError.Say("this program is started by sandbox; see sandbox run --help");
            return ExitStatus.SandboxFailed;
        }
        using SeqpacketChannel channel = new(new FileDescriptor(StartDescriptors.Channel));
        FileDescriptor kvm = new(StartDescriptors.Kvm);
        return new GuestSession(channel).Run(kvm);
    }
}
