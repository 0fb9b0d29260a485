namespace Sandbox.Vmm.Devices.Vsock;

/// <summary>
/// What a snapshot keeps of a socket device beside its queues. Connections are not kept: they end on the host, and the
/// guest is told so (VIRTIO_VSOCK_EVENT_TRANSPORT_RESET).
/// </summary>
public readonly record struct VsockState(ulong GuestCid);
