using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// The VMM's process, from its start to its end. It is started in its jail, with the channel as descriptor 3, KVM as
/// descriptor 4 and nothing else: no environment, no terminal, no descriptor of the caller's but stderr, which is for
/// crashes alone.
/// </summary>
sealed unsafe class VmmProcess : IDisposable
{
    readonly JailedProgram _jailed;
    bool _ended;

    VmmProcess(JailedProgram jailed, SeqpacketChannel channel, ulong channelInode)
    {
        _jailed = jailed;
        Channel = channel;
        ChannelInode = channelInode;
    }

    public int Pid => _jailed.Pid;
    public SeqpacketChannel Channel { get; }

    /// <summary>Of the VMM's end; 0 for unknown.</summary>
    public ulong ChannelInode { get; }

    /// <summary>Readable once the process has ended.</summary>
    public FileDescriptor EndDescriptor => _jailed.Pidfd;

    /// <summary>What stands around it.</summary>
    public BuiltJail Jail => _jailed.Built;

    public JailPhases Phases => _jailed.Phases;

    /// <summary>The control group that limits it; null where there is none.</summary>
    public GuestGroup? Group => _jailed.Group;

    /// <summary>
    /// What the process and, if it has a PID namespace, all that it started took; nothing until it has ended.
    /// </summary>
    public rusage Usage { get; private set; }

    /// <summary>CPU time in it, in microseconds.</summary>
    public long CpuMicroseconds => Microseconds(Usage.ru_utime) + Microseconds(Usage.ru_stime);

    /// <summary>The wait status of waitpid(2), once ended; null if somebody else took it (SIGCHLD ignored).</summary>
    public int? WaitStatus { get; private set; }

    /// <summary>Starts it, and does not wait for its jail; see <see cref="Confirm"/>.</summary>
    /// <param name="kvm">/dev/kvm; the VMM gets a descriptor of its own.</param>
    /// <param name="walls">What to build as far as the host lets it.</param>
    /// <exception cref="HostException">
    /// The program is missing, or the host has no process or descriptor left.
    /// </exception>
    public static VmmProcess Start(string program, FileDescriptor kvm, JailWalls walls = JailWalls.All)
    {
        (FileDescriptor mine, FileDescriptor theirs) = SeqpacketChannel.CreatePair();
        var channel = new SeqpacketChannel(mine);
        try
        {
            theirs.GetStatus(out stat status);
            var jailed = JailedProgram.Start(program, theirs, kvm, walls, HostCgroupFiles.Instance);
            return new VmmProcess(jailed, channel, status.st_ino);
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

    /// <summary>Waits until the jail stands.</summary>
    /// <exception cref="HostException">The program cannot be executed.</exception>
    public void Confirm() => _jailed.Confirm();

    /// <summary>Notes what was left out on purpose: it is missing all the same.</summary>
    public void Lacks(JailWalls walls, string reason) =>
        _jailed.Built = Jail with { Missing = Jail.Missing | walls, Reason = Jail.Reason ?? reason };

    /// <summary>
    /// Once confirmed: holds it, and all that it starts, to limits. See <see cref="Jail"/> for whether they hold.
    /// </summary>
    public void Limit(in GroupLimits limits) => _jailed.Limit(limits);

    /// <summary>Once confirmed: holds it to rates of disks, of which there is at least one or a lack.</summary>
    public void Limit(DiskRates rates) => _jailed.LimitDisks(rates.Rates, rates.Lacks);

    /// <summary>Sends a signal; one that is already dead is left alone.</summary>
    public void Signal(int signal) => pidfd_send_signal(EndDescriptor.Value, signal);

    /// <summary>Waits for the end.</summary>
    /// <param name="milliseconds">At most so long; negative for as long as it takes.</param>
    /// <returns>False when it is still running.</returns>
    public bool WaitForEnd(int milliseconds)
    {
        if (_ended)
            return true;
        var end = new pollfd { fd = EndDescriptor.Value, events = POLLIN };
        int ready;
        do
            ready = poll(&end, 1, milliseconds);
        while (ready < 0 && errno == EINTR);
        if (ready == 0)
            return false;
        _ended = true;
        WaitStatus = HostProcess.Reap(Pid, out rusage usage);
        Usage = usage;
        return true;
    }

    static long Microseconds(timeval time) => time.tv_sec * 1_000_000 + time.tv_usec;

    /// <summary>Nothing of a sandbox survives its command line, whichever way this is left.</summary>
    public void Dispose()
    {
        Channel.Dispose();
        if (!_ended && _jailed.HasProcess)
        {
            Signal(SIGKILL);
            WaitForEnd(-1);
        }

        _jailed.Dispose();
    }
}
