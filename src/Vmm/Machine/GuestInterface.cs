using System.Net;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Devices.Net;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Machine;

/// <summary>A network interface as the plan grants it: through one TAP device, a queue each way for each of its own.</summary>
static class GuestInterface
{
    /// <param name="files">Of the TAP device's queues; the interface's from now on.</param>
    /// <param name="limit">Each way.</param>
    /// <exception cref="HostException">It is no TAP device.</exception>
    public static NetDevice Create(GuestRam ram, GuestTap tap, FileDescriptor[] files, RateLimit limit)
    {
        return new NetDevice(ram, new NetOptions
        {
            Links = [.. files.Select(file => new TapLink(file, isOneOfSeveral: files.Length > 1))],
            Mac = tap.Mac,
            Addresses = tap.Address.Length == 0 ? [] : [new IPAddress(tap.Address)],
            SendLimit = limit,
            ReceiveLimit = limit,
        });
    }
}
