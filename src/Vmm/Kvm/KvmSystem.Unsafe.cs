using Sandbox.Host;
using static Sandbox.Host.KvmAbi;

namespace Sandbox.Vmm.Kvm;

/// <summary>An open /dev/kvm: Documentation/virt/kvm/api.rst, "System ioctls".</summary>
public sealed unsafe class KvmSystem : IDisposable
{
    /// <summary>Hosts list more than 100 leaves.</summary>
    public const int MaximumCpuidEntries = 256;

    private readonly FileDescriptor _file;

    /// <param name="file">/dev/kvm, which this object owns from now on.</param>
    /// <exception cref="HostException">The interface or a capability that the VMM needs is missing.</exception>
    public KvmSystem(FileDescriptor file)
    {
        _file = file;
        int version = file.Control(KVM_GET_API_VERSION);
        if (version != KvmRequirement.ApiVersion)
            throw new HostException(Libc.EINVAL, "KVM_GET_API_VERSION", $"{version}", "this is not the KVM interface of Linux 2.6.22 and later");
        Require(KvmRequirement.All);
        RunSize = file.Control(KVM_GET_VCPU_MMAP_SIZE);
        if (RunSize < sizeof(kvm_run))
            throw new HostException(Libc.EINVAL, "KVM_GET_VCPU_MMAP_SIZE", $"{RunSize}");
        MaximumVcpus = Math.Max(Extension(KVM_CAP_MAX_VCPUS), 1);
    }

    /// <summary>Bytes to map of each vCPU.</summary>
    public int RunSize { get; }

    public int MaximumVcpus { get; }

    /// <exception cref="HostException">One is not met.</exception>
    public void Require(IReadOnlyList<KvmRequirement> needs)
    {
        foreach (KvmRequirement need in needs)
            if (!need.IsMetBy(Extension(need.Capability)))
                throw new HostException(Libc.ENOSYS, "KVM_CHECK_EXTENSION", need.Name, "this KVM lacks a needed capability: use a newer host kernel");
    }

    /// <summary>KVM_CHECK_EXTENSION: 0 when the capability is absent.</summary>
    public int Extension(int capability) => Math.Max(_file.Control(KVM_CHECK_EXTENSION, (void*)capability), 0);

    /// <exception cref="HostException">The host refused.</exception>
    public KvmVm CreateVm()
    {
        int fd;
        // A signal that arrives meanwhile ends KVM_CREATE_VM with EINTR.
        do
            fd = _file.Control(KVM_CREATE_VM);
        while (fd == -Libc.EINTR);
        if (fd < 0)
            throw new HostException(-fd, "KVM_CREATE_VM");
        return new KvmVm(this, new FileDescriptor(fd));
    }

    /// <summary>KVM_GET_SUPPORTED_CPUID.</summary>
    public kvm_cpuid_entry2[] SupportedCpuid()
    {
        int bytes = sizeof(kvm_cpuid2) + (MaximumCpuidEntries * sizeof(kvm_cpuid_entry2));
        byte* buffer = stackalloc byte[bytes];
        kvm_cpuid2* head = (kvm_cpuid2*)buffer;
        *head = new kvm_cpuid2 { nent = MaximumCpuidEntries };
        int result = _file.Control(KVM_GET_SUPPORTED_CPUID, head);
        if (result < 0)
            throw new HostException(-result, "KVM_GET_SUPPORTED_CPUID");
        return new ReadOnlySpan<kvm_cpuid_entry2>(head + 1, (int)Math.Min(head->nent, MaximumCpuidEntries)).ToArray();
    }

    public void Dispose() => _file.Dispose();
}
