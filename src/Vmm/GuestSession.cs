using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Devices.Block;
using Sandbox.Vmm.Kvm;
using Sandbox.Vmm.Machine;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Loader;
using Sandbox.Vmm.Platforms.Kvm;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm;

/// <summary>One guest from the supervisor's Start message to the Ended message.</summary>
sealed class GuestSession(SeqpacketChannel channel)
{
    /// <summary>A plan is a few KiB; its arguments and environment may be a few MiB.</summary>
    private const int MaximumPlanBytes = 16 << 20;

    /// <summary>So long a guest has to tell of its memory, when somebody asks what has been counted.</summary>
    private const int StatisticsMilliseconds = 100;

    private readonly StartPhases _phases = new();
    private StartOrders _unordered;
    private LinuxPersonality? _personality;
    private MachineSession? _machine;
    private ResultRecord? _record;

    /// <returns>The VMM's own exit status.</returns>
    public int Run(FileDescriptor kvm)
    {
        try
        {
            using KvmPlatform platform = new(new KvmMachine(kvm));
            TscSampler sampler = new(VdsoTimekeeper.GuestOffset);
            ForbiddenCall.Announce();
            _unordered = RefuseExecutableMemory() ? StartOrders.DenyWriteExecute : StartOrders.None;
            _phases.Mark(StartPhase.Platform);
            if (!ReceivePlan(out LaunchPlan? plan, out StartOrders orders, out FileDescriptor[] descriptors))
                return 0; // the command line was wrong after all
            _phases.Begin(plan.StartedAtNanoseconds);
            _phases.Mark(StartPhase.Plan);
            if (plan.Machine is not null)
                return RunMachine(plan, orders, descriptors, platform, kvm);
            Confine(plan, orders, descriptors);
            _phases.Mark(StartPhase.Confined);
            return Run(plan, orders, DescriptorsOf(orders, descriptors), platform, sampler);
        }
        catch (Exception failure) when (failure is HostException or PlanException)
        {
            return Report(failure);
        }
    }

    /// <summary>For the whole process, for ever.</summary>
    /// <returns>False where the kernel does not know of it, before Linux 6.3; the filters refuse it as well.</returns>
    internal static bool RefuseExecutableMemory()
    {
        bool isKnown = prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0;
        if (!isKnown && errno != EINVAL)
            throw HostException.Last("prctl", "PR_SET_MDWE");
        // Filters demand it.
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
            throw HostException.Last("prctl", "PR_SET_NO_NEW_PRIVS");
        return isKnown;
    }

    /// <summary>Puts on what the supervisor has ordered.</summary>
    private static void Confine(LaunchPlan plan, StartOrders orders, FileDescriptor[] sent)
    {
        using FileDescriptor? ruleset = orders.HasFlag(StartOrders.Landlock) ? sent[0] : null;
        Confinement.PutOn(ruleset, orders.HasFlag(StartOrders.Seccomp) ? NeedsOf(plan) : null);
    }

    /// <summary>The plan's, of what came with it.</summary>
    private static FileDescriptor[] DescriptorsOf(StartOrders orders, FileDescriptor[] sent) =>
        orders.HasFlag(StartOrders.Landlock) ? sent[1..] : sent;

    private static GuestNeeds NeedsOf(LaunchPlan plan)
    {
        if (plan.Machine is not null)
            return GuestNeeds.Machine;
        GuestNeeds needs = plan.Network is null ? GuestNeeds.None : GuestNeeds.Network;
        foreach (GuestFile file in plan.Files)
            if (file is { Kind: GuestFileKind.Host, Writable: true })
                needs |= GuestNeeds.Writing;
        return needs;
    }

    private int Run(
        LaunchPlan plan, StartOrders orders, FileDescriptor[] descriptors, KvmPlatform platform, TscSampler sampler)
    {
        platform.Memory.Open(plan.Limits.MemoryBytes);
        LinuxPersonality personality = _personality = new(plan, platform.Memory, platform);
        personality.DeferThreads();
        if (plan.Audit is AuditPlan audit)
            personality.RecordDecisionsTo(descriptors[audit.Descriptor]);
        personality.BuildFiles(descriptors);
        _phases.Mark(StartPhase.Files);
        if (plan.Streams.Trace >= 0)
            personality.TraceTo(descriptors[plan.Streams.Trace]);
        if (!personality.TryInitializeLoader(new LoaderOptions()))
            throw new HostException(ENOMEM, "mmap", "the vDSO", "give the guest more with --memory");
        VdsoTimekeeper.Start(personality, sampler, platform);
        long error = personality.EnterWorkingDirectory(plan.WorkingDirectory, out FileSystemContext? context);
        if (error != 0)
            return Report(EndCause.Failed, -error, (long)VmmFailure.WorkingDirectory);
        GuestThread first = personality.CreateFirstProcess(new DescriptorTable(plan.Limits.OpenFiles), context!);
        personality.OpenStandardStreams(first.Process, descriptors);
        personality.OpenNetwork(descriptors);
        _phases.Mark(StartPhase.Personality);

        personality.FirstProcessStopped = stopped =>
        {
            if (stopped && plan.Streams.Terminal)
                TrySend(new ChannelMessage { Kind = MessageKind.Stopped });
        };
        OpenRecord(plan, descriptors);
        if (orders.HasFlag(StartOrders.Inspection) && !BeInspected(orders))
            return 0; // the supervisor is gone
        // Starting a thread means waiting until it runs: the guest does not wait for those that serve it.
        personality.Start(first);
        personality.StartDeferredThreads();
        if (ThreadFilter.IsOn)
            Errands.Start();
        Listen();
        // A trace shows every call once, where it is served.
        if (personality.Tracer is null)
            personality.Attendance?.Start();
        _phases.Mark(StartPhase.Program);
        ThreadFilter.Take(ThreadRole.Main);
        if (!personality.HasEnded)
            TellStarted(orders);
        GuestEnd end = personality.WaitForEnd();
        personality.DrainTerminal();
        error = WriteRecord();
        return error == 0
            ? Report(end.Cause, end.Value, end.Detail, end.Message)
            : Report(EndCause.Failed, -error, (long)VmmFailure.ResultRecord);
    }

    /// <summary>
    /// A guest with a kernel of its own. Where a SYSCALL stays at CPL 3 there is no hardware virtualization: whatever runs
    /// at CPL 0 is emulated there, which no kernel survives.
    /// </summary>
    private int RunMachine(
        LaunchPlan plan, StartOrders orders, FileDescriptor[] sent, KvmPlatform platform, FileDescriptor kvm)
    {
        if (platform.SystemCallsStayInUserMode)
            return Report(EndCause.Failed, ENODEV, (long)VmmFailure.NoMachineGuests);
        using KvmSystem system = new(kvm.Duplicate());
        platform.Dispose();
        // Neither is taken down here: threads of theirs live until the process ends, which is soon.
        VirtualMachine machine = new(system, plan.Limits.MemoryBytes, plan.Limits.Cpus);
        _phases.Mark(StartPhase.Files);
        FileDescriptor[] descriptors = DescriptorsOf(orders, sent);
        IReadOnlyList<BlockRing>[] rings = DiskRings.Create(plan.Machine!, machine.Vcpus.Count, descriptors);
        Confine(plan, orders, sent);
        _phases.Mark(StartPhase.Confined);
        MachineSession session = new(plan, machine, descriptors, rings, TrySendAtOnce);
        BootProblem problem = session.Load();
        if (problem != BootProblem.None)
            return Report(EndCause.BadKernel, EINVAL, (long)problem);
        _phases.Mark(StartPhase.Personality);
        _machine = session;
        OpenRecord(plan, descriptors);
        if (orders.HasFlag(StartOrders.Inspection) && !BeInspected(orders))
            return 0; // the supervisor is gone
        session.Start();
        Listen();
        _phases.Mark(StartPhase.Program);
        ThreadFilter.Take(ThreadRole.Main);
        TellStarted(orders);
        GuestEnd end = session.WaitForEnd();
        long error = WriteRecord();
        int status = error == 0
            ? Report(end.Cause, end.Value, end.Detail, end.Message)
            : Report(EndCause.Failed, -error, (long)VmmFailure.ResultRecord);
        session.SayLastWords(end.Cause);
        return status;
    }

    /// <returns>False when the supervisor has gone without a word: the command line was wrong after all.</returns>
    /// <exception cref="PlanException">What came is no plan.</exception>
    internal bool ReceivePlan(out LaunchPlan plan, out StartOrders orders, out FileDescriptor[] descriptors)
    {
        plan = null!;
        orders = StartOrders.None;
        if (!channel.Receive(out ChannelMessage start, SeqpacketChannel.MaxDescriptors, out FileDescriptor[] sent))
        {
            descriptors = [];
            return false;
        }
        try
        {
            plan = ReadPlan(start, sent);
            orders = (StartOrders)start.Detail32;
            descriptors = sent[1..];
            return true;
        }
        catch
        {
            foreach (FileDescriptor descriptor in sent)
                descriptor.Dispose();
            throw;
        }
    }

    private static LaunchPlan ReadPlan(in ChannelMessage start, FileDescriptor[] sent)
    {
        if (start.Version != ChannelMessage.CurrentVersion || start.Kind != MessageKind.Start || sent.Length == 0
            || start.Detail32 > (uint)StartOrders.All
            || start.Value < 0 || start.Value != sent.Length - 1 - (start.Detail32 & (uint)StartOrders.Landlock))
            throw new PlanException($"no Start message of version {ChannelMessage.CurrentVersion} before it");
        using FileDescriptor file = sent[0];
        int error = file.GetStatus(out stat status);
        if (error != 0 || status.st_size is <= 0 or > MaximumPlanBytes)
            throw new PlanException("it has no sensible size");
        byte[] bytes = new byte[status.st_size];
        if (file.ReadAt(bytes, 0) != bytes.Length)
            throw new PlanException("it cannot be read");
        return LaunchPlan.Deserialize(bytes);
    }

    /// <summary>
    /// Every wall stands and no byte of the guest's program has been looked at: what the supervisor reads now is true.
    /// Without its word nothing goes on.
    /// </summary>
    /// <returns>False when it is gone, or says what no supervisor says.</returns>
    private bool BeInspected(StartOrders orders)
    {
        TrySend(new ChannelMessage { Kind = MessageKind.Confined, Detail32 = (uint)(orders | _unordered) });
        FileDescriptor? sent = null;
        while (channel.Receive(out ChannelMessage message))
        {
            if (message is { Version: ChannelMessage.CurrentVersion, Kind: MessageKind.Go })
            {
                _phases.Mark(StartPhase.Inspection);
                return true;
            }

            if (!Obey(message, ref sent))
                break;
        }

        return false;
    }

    /// <summary>Whoever looks at the VMM from now on finds all its walls.</summary>
    private void TellStarted(StartOrders orders)
    {
        ThreadFilter.WaitForRoles();
        TrySend(new ChannelMessage { Kind = MessageKind.Started, Detail32 = (uint)(orders | _unordered) });
    }

    private bool Obey(in ChannelMessage message, ref FileDescriptor? sent)
    {
        if (message is { Version: ChannelMessage.CurrentVersion, Kind: MessageKind.Count } && _record is not null)
        {
            _machine?.Balloon?.RefreshStatistics(StatisticsMilliseconds);
            uint error = (uint)-WriteRecord();
            TrySend(new ChannelMessage { Kind = MessageKind.Counted, Detail32 = error, Value = message.Value });
            return true;
        }

        return _machine is null ? Obey(message, _personality!) : _machine.Obey(message, ref sent);
    }

    private void OpenRecord(LaunchPlan plan, FileDescriptor[] descriptors)
    {
        if (plan.Streams.Result >= 0)
            _record = new ResultRecord(descriptors[plan.Streams.Result], _phases);
    }

    /// <summary>Tells what has been counted, where somebody wants to know.</summary>
    /// <returns>0, or the negative errno of the write that failed.</returns>
    private long WriteRecord() =>
        _record is null ? 0 : _machine is null ? _record.Write(_personality!) : _record.Write(_machine);

    /// <summary>Obeys the supervisor from now on; when it is gone, so is the guest.</summary>
    private void Listen() => ThreadFilter.Start("channel", ThreadRole.Channel, 128 << 10, ListenUntilGone);

    private void ListenUntilGone()
    {
        try
        {
            bool isObeyed = true;
            while (isObeyed && channel.Receive(out ChannelMessage message, 1, out FileDescriptor[] descriptors))
            {
                FileDescriptor? sent = descriptors is [FileDescriptor only] ? only : null;
                isObeyed = Obey(message, ref sent);
                // Of what nothing has taken, nothing is left.
                sent?.Dispose();
            }
        }
        catch (HostException)
        {
            // A broken channel is the same as none: nobody is left to say it to.
        }
        _exit(ExitStatus.SandboxFailed);
    }

    /// <returns>False for what no supervisor says.</returns>
    internal static bool Obey(in ChannelMessage message, LinuxPersonality personality)
    {
        if (message.Version != ChannelMessage.CurrentVersion)
            return false;
        switch (message.Kind)
        {
            case MessageKind.Signal:
                personality.SignalFirstProcess((int)Math.Clamp(message.Value, 0, SIGRTMAX));
                return true;
            case MessageKind.WindowSize:
                personality.ResizeTerminal((ushort)message.Value, (ushort)message.Detail);
                return true;
            default:
                return false;
        }
    }

    private int Report(Exception failure)
    {
        (VmmFailure kind, int errno) = failure switch
        {
            HostException { Call: "KVM_CHECK_EXTENSION" } host => (VmmFailure.KvmCapability, host.Errno),
            HostException host when host.Call.StartsWith("KVM_", StringComparison.Ordinal) => (VmmFailure.KvmCall, host.Errno),
            HostException { Errno: ENOMEM } host => (VmmFailure.HostMemory, host.Errno),
            HostException host => (VmmFailure.InternalError, host.Errno),
            _ => (VmmFailure.BadPlan, EINVAL),
        };
        // The supervisor has a line for each kind. What only the message says helps with those that should not happen.
        bool isExplained = kind is VmmFailure.KvmCapability or VmmFailure.HostMemory;
        uint capability = kind == VmmFailure.KvmCapability ? CapabilityNamed(((HostException)failure).Subject) : 0;
        return Report(EndCause.Failed, errno, (long)kind, isExplained ? "" : failure.Message, capability);
    }

    private static uint CapabilityNamed(string? name) =>
        (uint)(KvmRequirement.All.Concat(KvmRequirement.MachineGuests).FirstOrDefault(need => need.Name == name)?.Capability ?? 0);

    private int Report(EndCause cause, long value, long detail, string message = "", uint detail32 = 0)
    {
        _personality?.Recorder?.Finish();
        TrySend(new ChannelMessage
        {
            Kind = MessageKind.Ended, Cause = cause, Detail32 = detail32, Value = value, Detail = detail,
        });
        // Standard error is the operator's, not the guest's. He may not listen: the supervisor waits no longer than it does.
        if (message.Length > 0)
            StandardError.Say(message);
        return 0;
    }

    /// <returns>False when the supervisor does not read what it is sent, or is gone.</returns>
    private bool TrySendAtOnce(ChannelMessage message)
    {
        message.Version = ChannelMessage.CurrentVersion;
        return channel.TrySend(message, wait: false) == 0;
    }

    private void TrySend(ChannelMessage message)
    {
        message.Version = ChannelMessage.CurrentVersion;
        try
        {
            lock (channel)
                channel.Send(message);
        }
        catch (HostException gone) when (gone.Errno is EPIPE or ECONNRESET)
        {
            // The supervisor is gone, and so is everybody who wanted to know.
        }
    }
}
