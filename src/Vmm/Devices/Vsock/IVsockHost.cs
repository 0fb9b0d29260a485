using Sandbox.Host;

namespace Sandbox.Vmm.Devices.Vsock;

/// <summary>Where connections that the guest opens lead: ports of CID 2.</summary>
public interface IVsockHost
{
    /// <summary>A connected stream socket, which the device owns then, or null to refuse. Must not wait.</summary>
    FileDescriptor? Connect(uint port);
}
