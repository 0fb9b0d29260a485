namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>st_dev of the file systems behind nameless files: anonymous devices (major 0), as on Linux.</summary>
static class AnonymousDevices
{
    public const uint Segments = 0x01;
    public const uint Pipes = 0x0d;
    public const uint Sockets = 0x08;
    public const uint Anonymous = 0x0e;
    public const uint Terminals = 0x17;
}
