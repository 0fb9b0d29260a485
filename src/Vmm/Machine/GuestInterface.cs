using System.Net;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Devices.Net;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Machine;

/// <summary>A network interface as the plan grants it: one queue each way, through one TAP device.</summary>
static class GuestInterface
{
    /// <param name="file">The device's from now on.</param>
    /// <param name="limit">Each way.</param>
    /// <exception cref="HostException">It is no TAP device.</exception>
    public static NetDevice Create(GuestRam ram, GuestTap tap, FileDescriptor file, RateLimit limit)
    {
        return new NetDevice(ram, new NetOptions
        {
            Links = [new TapLink(file, isOneOfSeveral: false)],
            Mac = tap.Mac,
            Addresses = tap.Address.Length == 0 ? [] : [new IPAddress(tap.Address)],
            SendLimit = limit,
            ReceiveLimit = limit,
        });
    }
}
