using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail.Cgroups;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail;

/// <summary>
/// A program in the best jail that this host lets the caller build. What a host refuses is left out as a whole group,
/// and said: whether that will do is for the policy to decide, before the program gets anything.
/// </summary>
sealed class JailedProgram : IDisposable
{
    const string CloneStep = "clone3";

    /// <summary>Groups made for one program, one after the other: somebody may remove one before it is entered.</summary>
    const int MostGroups = 3;

    readonly string _program;
    readonly ICgroupFiles _groupFiles;
    readonly FileDescriptor[] _held;
    readonly JailDescriptors _descriptors;
    readonly JailWalls _wanted;
    readonly Queue<JailWalls> _attempts;
    JailAttempt? _building;
    JailWalls _walls;
    string? _reason;
    GuestGroup? _group;
    string? _groupLacks;
    int _groupsMade = 1;
    bool _retry;
    BuiltJail? _built;
    FileDescriptor? _pidfd;

    JailedProgram(string program, FileDescriptor[] held, JailWalls wanted, ICgroupFiles groupFiles, GuestGroup? group)
    {
        _groupFiles = groupFiles;
        _group = group;
        _program = program;
        _held = held;
        _descriptors = new JailDescriptors(held[0].Value, held[1].Value, held[2].Value, held[3].Value);
        bool isRoot = geteuid() == 0;
        wanted &= Offered(isRoot);
        _wanted = wanted;
        if (LandlockRuleset.HostVersion == 0 && wanted.HasFlag(JailWalls.Landlock))
        {
            wanted &= ~JailWalls.Landlock;
            _reason = "this kernel has no Landlock";
        }
        if (wanted.HasFlag(JailWalls.Seccomp) && !SeccompSupport.HasFilters)
        {
            wanted &= ~JailWalls.Seccomp;
            _reason ??= "this kernel has no seccomp filters";
        }

        _attempts = new Queue<JailWalls>(Ladder(wanted, isRoot));
    }

    public int Pid { get; private set; }

    /// <summary>False once nothing could be started.</summary>
    public bool HasProcess => _pidfd is not null;

    public JailPhases Phases { get; } = new();

    public FileDescriptor Pidfd => _pidfd ?? throw new InvalidOperationException("no process was started");

    public BuiltJail Built
    {
        get => _built ?? throw new InvalidOperationException("the jail is not confirmed");
        set => _built = value;
    }

    /// <summary>
    /// The walls that a caller can miss here: who cannot have them by any means does not. Rates of disks are missed by
    /// whose policy gives some.
    /// </summary>
    public static JailWalls Offered(bool isRoot) => (isRoot ? JailWalls.All : JailWalls.All & ~JailWalls.OwnUser)
        & ~JailWalls.DiskRates
        & (KernelWalls.HasTimeByExecve ? JailWalls.All : ~JailWalls.Time);

    /// <summary>
    /// What to try, best first. Root of a container has no other users to give. Without user namespaces root can build
    /// everything else, unless a container keeps the rights to that; nobody else can build any namespace, nor lock what
    /// he does not have.
    /// </summary>
    public static IEnumerable<JailWalls> Ladder(JailWalls wanted, bool isRoot)
    {
        JailWalls bare = wanted & ~JailWalls.Namespaces & ~JailWalls.OwnUser;
        JailWalls[] steps = isRoot
            ?
            [
                wanted, wanted & ~JailWalls.OwnUser, wanted & ~JailWalls.User,
                wanted & ~(JailWalls.User | JailWalls.OwnUser), bare,
                bare & ~JailWalls.Capabilities,
            ]
            : [wanted & ~JailWalls.OwnUser, bare & ~JailWalls.Capabilities];
        return steps.Distinct();
    }

    /// <param name="channel">What becomes descriptor 3; copied.</param>
    /// <param name="kvm">What becomes descriptor 4; copied.</param>
    /// <exception cref="HostException">
    /// The program is missing, or the host has no process or descriptor left.
    /// </exception>
    public static JailedProgram Start(
        string program, FileDescriptor channel, FileDescriptor kvm, JailWalls walls, ICgroupFiles groupFiles)
    {
        List<FileDescriptor> held = [];
        GuestGroup? group = null;
        JailedProgram? jailed = null;
        try
        {
            using FileDescriptor nowhere = FileDescriptor.Open("/dev/null", O_RDWR);
            using FileDescriptor file = FileDescriptor.Open(program, O_PATH, 0,
                "sandbox-vmm belongs beside sandbox; build both with ./sandbox, or install both");
            foreach (FileDescriptor source in (FileDescriptor[])[nowhere, channel, kvm, file])
                held.Add(CopyAbove(source));
            if (walls.HasFlag(JailWalls.CgroupLimits))
                group = GuestGroup.Create(groupFiles);
            jailed = new JailedProgram(program, [.. held], walls, groupFiles, group);
            jailed.TryNext();
            return jailed;
        }
        catch
        {
            (jailed is null ? group : jailed._group)?.Dispose();
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
            if (_retry)
                _retry = false;
            else
                _walls = _attempts.Dequeue();
            int error = JailAttempt.TryStart(_walls, _wanted, _descriptors, _program, _group, out _building);
            if (error == 0)
            {
                Pid = _building!.Pid;
                _pidfd = _building.Pidfd;
                return;
            }

            Fail(CloneStep, -error);
        }
    }

    /// <summary>Notes why; throws when nothing less is left to try, or would not help.</summary>
    void Fail(string step, int errno)
    {
        if (_group is not null && IsOfGroup(step, errno))
        {
            _group.Dispose();
            _group = null;
            _retry = true;
            // To a supervisor of another PID namespace a maker that it cannot see is gone.
            if (errno is ENOENT or ENODEV && _groupsMade++ < MostGroups)
                _group = GuestGroup.Create(_groupFiles);
            else
                _groupLacks = BuiltJail.Describe(step, errno);
            return;
        }

        _reason ??= BuiltJail.Describe(step, errno);
        if (_attempts.Count == 0 || step is JailScript.ExecuteStep)
            throw new HostException(errno, step, _program, AdviceFor(errno));
    }

    /// <summary>
    /// Whether it was the group that could not be entered. clone3 fails for namespaces with other errors.
    /// </summary>
    bool IsOfGroup(string step, int errno) => step is JailScript.EnterGroupStep
        || (step is CloneStep
            && _group!.Into is not null
            && errno is EACCES or EBUSY or EOPNOTSUPP or ENODEV or ENOENT or ENOSYS);

    static string? AdviceFor(int error) => error switch
    {
        EACCES => "make it executable",
        EAGAIN => "the user's limit of processes is reached; see ulimit -u",
        EDQUOT => "the user's limit of keys is reached; see /proc/sys/kernel/keys/maxkeys",
        _ => null,
    };

    /// <summary>Waits until the jail stands, whichever.</summary>
    /// <exception cref="HostException">The program cannot be executed.</exception>
    public void Confirm()
    {
        Phases.Planned = HostClock.MonotonicNanoseconds();
        while (_built is null)
        {
            using (JailAttempt building = _building!)
            {
                if (building.WaitUntilBuilt() is not (string step, int errno))
                {
                    _built = new BuiltJail(_walls, _wanted & ~_walls, _reason);
                    if (_walls.HasFlag(JailWalls.CgroupLimits) && (_group?.Lacks ?? _groupLacks) is string lacks)
                        _built = _built.WithoutGroupLimits(lacks);
                    (Phases.Clone, Phases.Jail) = building.At;
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

    void Reap()
    {
        HostProcess.Reap(Pid);
        _pidfd!.Dispose();
        _pidfd = null;
    }

    /// <summary>
    /// Once built: holds the program, and all that it starts, to limits. What a host refuses is missing in
    /// <see cref="Built"/>.
    /// </summary>
    public void Limit(in GroupLimits limits)
    {
        if (_group?.Limit(limits) is string lacks && Built.Walls.HasFlag(JailWalls.CgroupLimits))
            _built = Built.WithoutGroupLimits(lacks);
    }

    /// <summary>Once built: holds it to rates of disks.</summary>
    /// <param name="lacks">Why there are none, although there should be; null where there are.</param>
    public void LimitDisks(IReadOnlyList<DiskRate> rates, string? lacks)
    {
        string? refused = _group is null ? "no control group" : _group.LimitDisks(rates, Pid);
        _built = Built.WithDiskRates(refused ?? lacks);
    }

    /// <summary>The program's control group; null where there is none.</summary>
    public GuestGroup? Group => _group;

    // A copy of the channel's other end would hide that the VMM has closed its own.
    void Release()
    {
        foreach (FileDescriptor descriptor in _held)
            descriptor.Dispose();
        _group?.CloseEntries();
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
        _group?.Dispose();
    }
}
