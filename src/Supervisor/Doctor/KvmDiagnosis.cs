using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Doctor;

/// <summary>What the facts about KVM mean, and what to do about them. Pure.</summary>
static class KvmDiagnosis
{
    public static IEnumerable<Finding> Of(KvmFacts facts)
    {
        yield return Kind(facts);
        if (facts.OpenError != 0)
        {
            yield return new Finding(
                KvmFacts.Device, Verdict.Missing, Errno.Describe(facts.OpenError), HowToOpen(facts));
            yield break;
        }

        yield return new Finding(KvmFacts.Device, Verdict.Ok, "can be opened");
        bool version = facts.ApiVersion == KvmRequirement.ApiVersion;
        yield return new Finding("KVM API version", version ? Verdict.Ok : Verdict.Missing, $"{facts.ApiVersion}",
            version ? null : $"version {KvmRequirement.ApiVersion} is needed: use a newer host kernel");
        foreach ((KvmRequirement need, int answer) in KvmRequirement.All.Zip(facts.Answers))
        {
            yield return need.IsMetBy(answer)
                ? new Finding(need.Name, Verdict.Ok, need.Purpose)
                : new Finding(need.Name, Verdict.Missing, need.Purpose, "use a newer host kernel");
        }

        yield return facts.CreateError == 0
            ? new Finding("creating a VM", Verdict.Ok, "works")
            : new Finding(
                "creating a VM", Verdict.Missing, Errno.Describe(facts.CreateError), HowToCreate(facts.CreateError));
    }

    /// <summary>Told by what the CPU shows, never by the name of a module.</summary>
    static Finding Kind(KvmFacts facts)
    {
        const string subject = "kind of KVM";
        if (facts.OpenError != 0)
            return new Finding(subject, Verdict.Missing, "none that can be used");
        if (facts.Vmx || facts.Svm)
            return new Finding(subject, Verdict.Ok, $"hardware ({(facts.Vmx ? "Intel VT-x" : "AMD-V")})");
        return new Finding(subject, Verdict.Ok, "paravirtual (the CPU shows neither vmx nor svm)");
    }

    static string HowToOpen(KvmFacts facts) => facts.OpenError switch
    {
        ENOENT or ENODEV or ENXIO when facts.Vmx || facts.Svm =>
            $"load the module: sudo modprobe {(facts.Vmx ? "kvm_intel" : "kvm_amd")}; if that is refused, switch "
                + $"virtualization on in the BIOS; in a container, pass the device in (--device {KvmFacts.Device})",
        ENOENT or ENODEV or ENXIO when facts.UnderHypervisor =>
            "this is a virtual machine that offers no virtualization: switch on nested virtualization for it, or use "
                + $"a kernel with paravirtual KVM; in a container, pass the device in (--device {KvmFacts.Device})",
        ENOENT or ENODEV or ENXIO =>
            "switch virtualization (Intel VT-x or AMD-V, also called SVM) on in the BIOS, then: sudo modprobe "
                + "kvm_intel or kvm_amd",
        EACCES or EPERM => HowToBeLetIn(facts.Node),
        EBUSY => "another hypervisor holds the CPU's virtualization: stop it",
        _ => "look at the kernel's log: sudo dmesg | grep -i kvm",
    };

    /// <summary>The remedy for who may not open the device.</summary>
    /// <param name="node">Its permission bits and group, where they are known.</param>
    public static string HowToBeLetIn((uint Mode, uint Group)? node) =>
        node is (uint mode, uint group) && (group == 0 || (mode & 0x30) != 0x30)
            ? $"let the kvm group use it: sudo chgrp kvm {KvmFacts.Device} && sudo chmod g+rw {KvmFacts.Device}; "
                + "then join the group: sudo usermod -aG kvm \"$USER\", and log in again"
            : $"join its group: sudo usermod -aG \"$(stat -c %G {KvmFacts.Device})\" \"$USER\", and log in again";

    static string HowToCreate(int error) => error switch
    {
        EBUSY => "another hypervisor (VirtualBox, VMware) holds the CPU's virtualization: stop it",
        ENOMEM => "the host has no memory left: stop something",
        EMFILE or ENFILE => "too many files are open: see ulimit -n",
        _ => "look at the kernel's log: sudo dmesg | grep -i kvm",
    };
}
