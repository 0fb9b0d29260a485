using Sandbox.Host;

namespace Sandbox.Vmm.Devices.Vsock;

/// <summary>What becomes of a connection that the guest opens.</summary>
public enum VsockReply
{
    Refused,
    Connected,

    /// <summary><see cref="VsockDevice.Answer"/> will say.</summary>
    Later,
}

/// <summary>Where connections that the guest opens lead: ports of CID 2.</summary>
public interface IVsockHost
{
    /// <summary>Must not wait.</summary>
    /// <param name="number">The request's own, for an answer that comes later.</param>
    /// <param name="file">Where it leads at once: a connected stream socket, which the device owns then; else null.</param>
    VsockReply Connect(uint port, ulong number, out FileDescriptor? file);
}
