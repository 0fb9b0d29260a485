using Sandbox.Host;

namespace Sandbox.Vmm.Devices.Console;

/// <summary>
/// One port of a console as it is granted. Descriptors are streams that do not wait (O_NONBLOCK), no regular files, and
/// two even where both are one socket. The device owns them from now on.
/// </summary>
public sealed record ConsolePort
{
    public const int MaximumNameLength = 32;

    private readonly string _name = "";

    /// <summary>In the guest's /sys/class/virtio-ports: ASCII, at most 32 characters.</summary>
    public required string Name
    {
        get => _name;
        init => _name = value.Length <= MaximumNameLength && value.All(char.IsAscii)
            ? value
            : throw new ArgumentException($"not a port's name: {value}", nameof(value));
    }

    /// <summary>Whether the guest makes a terminal of it (hvc).</summary>
    public bool IsConsole { get; init; }

    /// <summary>What the guest reads, or null.</summary>
    public FileDescriptor? Input { get; init; }

    /// <summary>What the guest writes to; null to throw it away.</summary>
    public FileDescriptor? Output { get; init; }
}
