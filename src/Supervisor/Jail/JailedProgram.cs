using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail;

/// <summary>
/// A program in the best jail that this host lets the caller build. What a host refuses is left out as a whole group, and
/// said: whether that will do is for the policy to decide, before the program gets anything.
/// </summary>
sealed class JailedProgram : IDisposable
{
    readonly string _program;
    readonly FileDescriptor[] _held;
    readonly JailDescriptors _descriptors;
    readonly JailWalls _wanted;
    readonly Queue<JailWalls> _attempts;
    JailAttempt? _building;
    JailWalls _walls;
    string? _reason;
    BuiltJail? _built;
    FileDescriptor? _pidfd;

    JailedProgram(string program, FileDescriptor[] held, JailWalls wanted)
    {
        _program = program;
        _held = held;
        _descriptors = new JailDescriptors(
            held[0].Value, held[1].Value, held[2].Value, held[3].Value, held.Length > 4 ? held[4].Value : -1);
        _wanted = wanted;
        if (_descriptors.Ruleset < 0 && wanted.HasFlag(JailWalls.Landlock))
        {
            wanted &= ~JailWalls.Landlock;
            _reason = "this kernel has no Landlock";
        }
        if (wanted.HasFlag(JailWalls.Seccomp) && !SeccompSupport.HasFilters)
        {
            wanted &= ~JailWalls.Seccomp;
            _reason ??= "this kernel has no seccomp filters";
        }

        _attempts = new Queue<JailWalls>(Ladder(wanted, isRoot: geteuid() == 0));
    }

    public int Pid { get; private set; }

    /// <summary>False once nothing could be started.</summary>
    public bool HasProcess => _pidfd is not null;

    public FileDescriptor Pidfd => _pidfd ?? throw new InvalidOperationException("no process was started");

    public BuiltJail Built => _built ?? throw new InvalidOperationException("the jail is not confirmed");

    /// <summary>
    /// What to try, best first. Without user namespaces root can build everything else; nobody else can build any
    /// namespace, nor drop what he does not have.
    /// </summary>
    public static IEnumerable<JailWalls> Ladder(JailWalls wanted, bool isRoot)
    {
        yield return wanted;
        if ((wanted & JailWalls.Namespaces) == 0)
            yield break;
        if (isRoot && wanted.HasFlag(JailWalls.User))
            yield return wanted & ~JailWalls.User;
        yield return wanted & ~JailWalls.Namespaces & (isRoot ? JailWalls.All : ~JailWalls.Capabilities);
    }

    /// <param name="channel">What becomes descriptor 3; copied.</param>
    /// <param name="kvm">What becomes descriptor 4; copied.</param>
    /// <exception cref="HostException">The program is missing, or the host has no process or descriptor left.</exception>
    public static JailedProgram Start(string program, FileDescriptor channel, FileDescriptor kvm, JailWalls walls)
    {
        List<FileDescriptor> held = [];
        try
        {
            using FileDescriptor nowhere = FileDescriptor.Open("/dev/null", O_RDWR);
            using FileDescriptor file = FileDescriptor.Open(program, O_PATH, 0,
                "sandbox-vmm belongs beside sandbox; build both with ./sandbox, or install both");
            foreach (FileDescriptor source in (FileDescriptor[])[nowhere, channel, kvm, file])
                held.Add(CopyAbove(source));
            if (walls.HasFlag(JailWalls.Landlock) && LandlockRuleset.HostVersion > 0)
            {
                using LandlockRuleset rules = JailRules.ForEveryVmm(file);
                held.Add(CopyAbove(rules.Descriptor));
            }

            var jailed = new JailedProgram(program, [.. held], walls);
            jailed.TryNext();
            return jailed;
        }
        catch
        {
            held.ForEach(descriptor => descriptor.Dispose());
            throw;
        }
    }

    // Above the numbers that the VMM gets, so that putting one in place cannot close the other.
    static FileDescriptor CopyAbove(FileDescriptor file)
    {
        int copy = fcntl(file.Value, F_DUPFD_CLOEXEC, JailScript.FirstFreeDescriptor);
        return copy >= 0 ? new FileDescriptor(copy) : throw HostException.Last("fcntl", "F_DUPFD_CLOEXEC");
    }

    void TryNext()
    {
        while (true)
        {
            _walls = _attempts.Dequeue();
            int error = JailAttempt.TryStart(_walls, _descriptors, _program, out _building);
            if (error == 0)
            {
                Pid = _building!.Pid;
                _pidfd = _building.Pidfd;
                return;
            }

            Fail("clone3", -error);
        }
    }

    /// <summary>Notes why; throws when nothing less is left to try, or would not help.</summary>
    void Fail(string step, int errno)
    {
        _reason ??= BuiltJail.Describe(step, errno);
        if (_attempts.Count == 0 || step is JailScript.ExecuteStep)
            throw new HostException(errno, step, _program, AdviceFor(errno));
    }

    static string? AdviceFor(int error) => error switch
    {
        EACCES => "make it executable",
        EAGAIN => "the user's limit of processes is reached; see ulimit -u",
        _ => null,
    };

    /// <summary>Waits until the jail stands, whichever.</summary>
    /// <exception cref="HostException">The program cannot be executed.</exception>
    public void Confirm()
    {
        while (_built is null)
        {
            using (JailAttempt building = _building!)
            {
                if (building.WaitUntilBuilt() is not (string step, int errno))
                {
                    _built = new BuiltJail(_walls, _wanted & ~_walls, _reason);
                    _building = null;
                    Release();
                    return;
                }

                Reap();
                _building = null;
                Fail(step, errno);
            }

            TryNext();
        }
    }

    unsafe void Reap()
    {
        int status;
        while (waitpid(Pid, &status, 0) < 0 && errno == EINTR)
        {
        }

        _pidfd!.Dispose();
        _pidfd = null;
    }

    // A copy of the channel's other end would hide that the VMM has closed its own.
    void Release()
    {
        foreach (FileDescriptor descriptor in _held)
            descriptor.Dispose();
    }

    /// <summary>The program has ended.</summary>
    public void Dispose()
    {
        if (_building is not null)
        {
            _building.WaitUntilBuilt();
            _building.Dispose();
        }

        _pidfd?.Dispose();
        Release();
    }
}
