using System.Runtime.Intrinsics.X86;
using Sandbox.Host;
using static Sandbox.Host.KvmAbi;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Doctor;

/// <summary>What asking the host about KVM found out.</summary>
sealed record KvmFacts
{
    public const string Device = "/dev/kvm";

    /// <summary>0, or the error number of opening the device.</summary>
    public required int OpenError { get; init; }

    /// <summary>Permission bits and group of the device, when there is one.</summary>
    public (uint Mode, uint Group)? Node { get; init; }

    public int ApiVersion { get; init; }

    /// <summary>Answers of KVM_CHECK_EXTENSION in the order of <see cref="KvmRequirement.All"/>.</summary>
    public int[] Answers { get; init; } = [];

    /// <summary>0, or the error number of creating a VM.</summary>
    public int CreateError { get; init; }

    /// <summary>The CPU offers Intel's or AMD's virtualization to this system.</summary>
    public required bool Vmx { get; init; }

    public required bool Svm { get; init; }

    /// <summary>This system is itself a virtual machine.</summary>
    public required bool UnderHypervisor { get; init; }

    public static unsafe KvmFacts Ask()
    {
        KvmFacts facts = new()
        {
            OpenError = -FileDescriptor.TryOpen(Device, O_RDWR, 0, out FileDescriptor? device),
            Node = NodeOf(Device),
            Vmx = (X86Base.CpuId(1, 0).Ecx & (1 << 5)) != 0,
            Svm = (X86Base.CpuId(unchecked((int)0x80000001), 0).Ecx & (1 << 2)) != 0,
            UnderHypervisor = (X86Base.CpuId(1, 0).Ecx & (1 << 31)) != 0,
        };
        if (device is null)
            return facts;
        using (device)
        {
            int vm;
            // A signal that arrives meanwhile ends it with EINTR.
            do
                vm = device.Control(KVM_CREATE_VM);
            while (vm == -EINTR);
            if (vm >= 0)
                close(vm);
            return facts with
            {
                ApiVersion = device.Control(KVM_GET_API_VERSION),
                Answers =
                    [.. KvmRequirement.All.Select(need => device.Control(KVM_CHECK_EXTENSION, (void*)need.Capability))],
                CreateError = Math.Max(-vm, 0),
            };
        }
    }

    /// <summary>Permission bits and group of a file; null without.</summary>
    public static unsafe (uint Mode, uint Group)? NodeOf(string path)
    {
        stat status;
        fixed (byte* name = System.Text.Encoding.UTF8.GetBytes(path + '\0'))
            return stat(name, &status) == 0 ? (status.st_mode & 0x1ff, status.st_gid) : null;
    }
}
