using System.Text;
using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>Why a TAP device cannot be had.</summary>
public enum TapProblem
{
    None,

    /// <summary>No interface of this network namespace has the name, or it went away meanwhile.</summary>
    Missing,

    /// <summary>The interface is down: nothing can be sent through it.</summary>
    Down,

    /// <summary>The kernel has no TUN driver, or nobody has loaded it.</summary>
    NoDriver,

    /// <summary>The caller may not open the driver, or is not the device's owner.</summary>
    NotAllowed,

    /// <summary>Another process is attached. Only of a device with one queue is that known.</summary>
    InUse,

    /// <summary>The interface is something else, or has one queue where several were asked for, or several.</summary>
    OfAnotherKind,

    /// <summary>The kernel refused for a reason that has no name here.</summary>
    Refused,
}

/// <summary>
/// TAP devices that somebody else has made to stay (TUNSETPERSIST): attached to, never made, changed or deleted.
/// </summary>
public static unsafe class TapDevice
{
    private const string Driver = "/dev/net/tun";

    /// <summary>
    /// Attaches to a device of this network namespace: packets of one queue, each behind a virtio header.
    /// </summary>
    /// <param name="name">ASCII, shorter than <see cref="Libc.IFNAMSIZ"/>.</param>
    /// <param name="isOneOfSeveral">The device has IFF_MULTI_QUEUE: each call attaches to one more queue.</param>
    /// <param name="file">Does not wait (O_NONBLOCK). Closing it detaches.</param>
    /// <param name="error">The kernel's error number, with <see cref="TapProblem.Refused"/>.</param>
    public static TapProblem TryAttach(
        string name, bool isOneOfSeveral, out FileDescriptor? file, out int error)
    {
        file = null;
        error = 0;
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(name.Length, IFNAMSIZ, nameof(name));
        ifreq request = default;
        Encoding.ASCII.GetBytes(name, new Span<byte>(request.ifr_name, IFNAMSIZ));
        // Asked for first: with a name that is free, TUNSETIFF makes a device.
        if (!TryGetFlags(&request))
            return TapProblem.Missing;
        if ((request.ifr_flags & IFF_UP) == 0)
            return TapProblem.Down;
        int result = FileDescriptor.TryOpen(Driver, O_RDWR | O_NONBLOCK, 0, out FileDescriptor? attached);
        if (result == 0)
        {
            request.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (isOneOfSeveral ? IFF_MULTI_QUEUE : 0));
            result = attached!.Control(TUNSETIFF, &request);
            // One that went away since is not replaced by one that ends with this process.
            if (result >= 0 && attached.Control(TUNGETIFF, &request) >= 0 && (request.ifr_flags & IFF_PERSIST) != 0)
            {
                file = attached;
                return TapProblem.None;
            }
            attached.Dispose();
            if (result >= 0)
                return TapProblem.Missing;
        }
        error = -result;
        return error switch
        {
            ENOENT or ENODEV or ENXIO => TapProblem.NoDriver,
            EACCES or EPERM => TapProblem.NotAllowed,
            EBUSY => TapProblem.InUse,
            EINVAL => TapProblem.OfAnotherKind,
            _ => TapProblem.Refused,
        };
    }

    private static bool TryGetFlags(ifreq* request)
    {
        int number = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (number < 0)
            throw HostException.Last("socket");
        using FileDescriptor any = new(number);
        return any.Control(SIOCGIFFLAGS, request) >= 0;
    }
}
