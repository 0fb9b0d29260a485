using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.KvmAbi;

namespace Sandbox.Vmm.Platforms.Kvm;

// Runs of ring-0 code that the VMM asks for, between two returns to the program.
public sealed unsafe partial class KvmCpu
{
    public override bool RewriteEntries(PageTableEdits edits)
    {
        GuestRegisters user = Registers;
        if (_place == Place.User && !LeaveUserMode())
            return false;
        _place = Place.Stub;
        int next = 0;
        do
        {
            ulong* list = (ulong*)(_page + Ring0Layout.EditListOffset);
            int count = Math.Min(edits.Runs.Count - next, Ring0Layout.EditListRuns - 1);
            for (int i = 0; i < count; i++)
            {
                PageTableEdits.Run run = edits.Runs[next + i];
                *list++ = run.Entry - PageTablePool.PhysicalBase + Ring0Layout.TablesBase;
                *list++ = (ulong)run.Count;
            }
            *list = 0;
            next += count;
            ref kvm_regs registers = ref _vcpu.Registers;
            registers.rdx = _pageAddress + Ring0Layout.EditListOffset;
            registers.rsp = FrameAddress;
            registers.rip = CodeAddress + Ring0Bytes.EditOffset;
            registers.rflags = 2;
            if (!RunTo(Ring0Bytes.EditsDonePort))
                return false;
        }
        while (next < edits.Runs.Count);
        Registers = user;
        return true;
    }

    private static readonly PageTableEdits NoEdits = new();

    /// <summary>Another processor changed the tables: drop this one's translations before user code goes on.</summary>
    private bool Refresh(long generation)
    {
        if (!RewriteEntries(NoEdits))
            return false;
        SeenGeneration = generation;
        return true;
    }

    public override long SeenGeneration
    {
        get => Volatile.Read(ref _seenGeneration);
        set => Volatile.Write(ref _seenGeneration, value);
    }

    public override bool IsRunningGuestCode => Volatile.Read(ref _state) == InGuest;

    /// <summary>
    /// From CPL 3 to CPL 0, by a jump to a page that CPL 3 may not execute: the fault arrives in the stub.
    /// </summary>
    private bool LeaveUserMode()
    {
        ref kvm_regs registers = ref _vcpu.Registers;
        registers.rip = CodeAddress;
        registers.rflags = FixedFlags;
        return RunTo(Ring0Bytes.ExceptionPort + Ring0Bytes.PageFaultVector);
    }

    private bool RunTo(int port)
    {
        int result;
        do
            result = Enter();
        while (result is -Libc.EINTR or -Libc.EAGAIN);
        ref kvm_run run = ref _vcpu.Shared;
        if (result == 0 && run.exit_reason == KVM_EXIT_IO && run.io.port == port)
            return true;
        if (result == 0)
            Fail(run.exit_reason);
        FailureDetail =
            $"ring 0 did not reach port 0x{port:x}: " + (result == 0 ? FailureDetail : Errno.Describe(-result));
        return false;
    }

    /// <summary>True when a SYSCALL at <paramref name="rip"/> arrives in the gate at CPL 3.</summary>
    /// <param name="gate">Where LSTAR points meanwhile: a user page.</param>
    /// <param name="tsc">The guest's time-stamp counter, read by the probe.</param>
    internal bool ProbeSystemCall(PhysicalAddress root, ulong gate, ulong rip, out ulong tsc)
    {
        Adopt();
        SetGate(gate);
        OpenGatePort(true);
        bool staysInUserMode = ProbeThrough(root, gate, rip);
        // A fault's address went through RAX, whose own value the stub has saved.
        uint low = (uint)(_place == Place.Stub ? ((ulong*)Frame)[-2] : _vcpu.Registers.rax);
        tsc = ((ulong)(uint)_vcpu.Registers.rdx << 32) | low;
        SetGate(KvmPlatform.GateAddress);
        OpenGatePort(staysInUserMode);
        return staysInUserMode;
    }

    private bool ProbeThrough(PhysicalAddress root, ulong gate, ulong rip)
    {
        kvm_sregs special = InitialSpecialRegisters(root);
        _vcpu.SetSpecialRegisters(special);
        _vcpu.Registers.rip = rip;
        int result;
        do
            result = Enter();
        while (result is -Libc.EINTR or -Libc.EAGAIN);
        ref kvm_run run = ref _vcpu.Shared;
        if (result != 0)
            throw new HostException(-result, "KVM_RUN", "the SYSCALL probe");
        if (run.exit_reason == KVM_EXIT_IO && run.io.port == Ring0Bytes.GatePort)
        {
            _vcpu.GetSpecialRegisters(out special);
            bool staysInUserMode = (special.cs.selector & 3) == 3;
            _place = staysInUserMode ? Place.User : Place.Gate;
            return staysInUserMode;
        }
        // At CPL 0 SMEP forbids the probe's user page: the gate's own page will be a supervisor page.
        if (run.exit_reason == KVM_EXIT_IO && run.io.port == Ring0Bytes.ExceptionPort + Ring0Bytes.PageFaultVector
            && Frame->Rip == gate && (Frame->Cs & 3) == 0)
        {
            _place = Place.Stub;
            return false;
        }
        Fail(run.exit_reason);
        throw new HostException(Libc.ENOSYS, "KVM_RUN", "the SYSCALL probe: " + FailureDetail,
            "this KVM cannot run process guests");
    }
}
