using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// The VMM's process, from its start to its end. It is started with the channel as descriptor 3, KVM as descriptor 4
/// and nothing else: no environment, no terminal, no descriptor of the caller's but stderr, which is for crashes alone.
/// </summary>
sealed unsafe class VmmProcess : IDisposable
{
    readonly FileDescriptor _pidfd;
    bool _ended;

    VmmProcess(int pid, FileDescriptor pidfd, SeqpacketChannel channel)
    {
        Pid = pid;
        _pidfd = pidfd;
        Channel = channel;
    }

    public int Pid { get; }
    public SeqpacketChannel Channel { get; }

    /// <summary>Readable once the process has ended.</summary>
    public FileDescriptor EndDescriptor => _pidfd;

    /// <summary>The wait status of waitpid(2), once ended; null if somebody else took it (SIGCHLD ignored).</summary>
    public int? WaitStatus { get; private set; }

    /// <param name="kvm">/dev/kvm; the VMM gets a descriptor of its own.</param>
    /// <exception cref="HostException">The program is missing, or the host has no process or descriptor left.</exception>
    public static VmmProcess Start(string program, FileDescriptor kvm)
    {
        (FileDescriptor mine, FileDescriptor theirs) = SeqpacketChannel.CreatePair();
        var channel = new SeqpacketChannel(mine);
        try
        {
            using FileDescriptor channelCopy = CopyAbove(theirs), kvmCopy = CopyAbove(kvm);
            int pid = Spawn(program, channelCopy.Value, kvmCopy.Value);
            int pidfd = pidfd_open(pid, 0);
            if (pidfd < 0)
            {
                HostException failure = HostException.Last("pidfd_open", program);
                kill(pid, SIGKILL);
                waitpid(pid, null, 0);
                throw failure;
            }

            return new VmmProcess(pid, new FileDescriptor(pidfd), channel);
        }
        catch
        {
            channel.Dispose();
            throw;
        }
        finally
        {
            theirs.Dispose();
        }
    }

    /// <summary>Sends a signal; one that is already dead is left alone.</summary>
    public void Signal(int signal) => pidfd_send_signal(_pidfd.Value, signal);

    /// <summary>Waits for the end.</summary>
    /// <param name="milliseconds">At most so long; negative for as long as it takes.</param>
    /// <returns>False when it is still running.</returns>
    public bool WaitForEnd(int milliseconds)
    {
        if (_ended)
            return true;
        var end = new pollfd { fd = _pidfd.Value, events = POLLIN };
        int ready;
        do
            ready = poll(&end, 1, milliseconds);
        while (ready < 0 && errno == EINTR);
        if (ready == 0)
            return false;
        int status, reaped;
        do
            reaped = waitpid(Pid, &status, 0);
        while (reaped < 0 && errno == EINTR);
        _ended = true;
        WaitStatus = reaped == Pid ? status : null;
        return true;
    }

    /// <summary>Nothing of a sandbox survives its command line, whichever way this is left.</summary>
    public void Dispose()
    {
        Channel.Dispose();
        if (!_ended)
        {
            Signal(SIGKILL);
            WaitForEnd(-1);
        }

        _pidfd.Dispose();
    }

    static int Spawn(string program, int channel, int kvm)
    {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        Check(posix_spawn_file_actions_init(&actions));
        Check(posix_spawnattr_init(&attributes));
        try
        {
            fixed (byte* nowhere = "/dev/null\0"u8)
            {
                Check(posix_spawn_file_actions_adddup2(&actions, channel, StartDescriptors.Channel));
                Check(posix_spawn_file_actions_adddup2(&actions, kvm, StartDescriptors.Kvm));
                Check(posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, nowhere, O_RDONLY, 0));
                Check(posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, nowhere, O_WRONLY, 0));
            }

            Check(posix_spawn_file_actions_addclosefrom_np(&actions, StartDescriptors.Kvm + 1));

            // A session of its own: Ctrl-C at the caller's terminal goes to the command line alone, which passes it on,
            // and reading that terminal as stdin does not stop the VMM as a background job.
            Check(posix_spawnattr_setflags(
                &attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
            sigset_t none = default, all;
            new Span<byte>(&all, sizeof(sigset_t)).Fill(0xff);
            Check(posix_spawnattr_setsigmask(&attributes, &none));
            Check(posix_spawnattr_setsigdefault(&attributes, &all));
            return Spawn(program, &actions, &attributes);
        }
        finally
        {
            posix_spawn_file_actions_destroy(&actions);
            posix_spawnattr_destroy(&attributes);
        }
    }

    static int Spawn(string program, posix_spawn_file_actions_t* actions, posix_spawnattr_t* attributes)
    {
        fixed (byte* path = Encoding.UTF8.GetBytes(program + '\0'), name = "sandbox-vmm\0"u8)
        {
            byte** arguments = stackalloc byte*[] { name, null };
            byte* noVariables = null;
            int pid;
            int error = posix_spawn(&pid, path, actions, attributes, arguments, &noVariables);
            return error == 0 ? pid : throw new HostException(error, "posix_spawn", program, AdviceFor(error));
        }
    }

    // Above the numbers that the VMM gets, so that putting one in place cannot close the other.
    static FileDescriptor CopyAbove(FileDescriptor file)
    {
        int copy = fcntl(file.Value, F_DUPFD_CLOEXEC, StartDescriptors.Kvm + 1);
        return copy >= 0 ? new FileDescriptor(copy) : throw HostException.Last("fcntl", "F_DUPFD_CLOEXEC");
    }

    static string? AdviceFor(int error) => error switch
    {
        ENOENT => "sandbox-vmm belongs beside sandbox; build both with ./sandbox, or install both",
        EACCES => "make it executable",
        EAGAIN => "the user's limit of processes is reached; see ulimit -u",
        _ => null,
    };

    // These only fail for want of memory.
    static void Check(int error)
    {
        if (error != 0)
            throw new HostException(error, "posix_spawn");
    }
}
