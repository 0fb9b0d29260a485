using Sandbox.Host;
using Sandbox.Supervisor.CommandLine;

namespace Sandbox.Supervisor.Launch;

/// <summary>Attaches to TAP devices that the command line names, and says in one line why one cannot be had.</summary>
static class TapOpener
{
    /// <param name="isOneOfSeveral">One queue of several, which attach one after the other.</param>
    /// <exception cref="UsageException">It cannot be had.</exception>
    public static FileDescriptor Open(string name, bool isOneOfSeveral)
    {
        TapProblem problem = TapDevice.TryAttach(name, isOneOfSeveral, out FileDescriptor? file, out int error);
        string make = $"ip tuntap add dev {name} mode tap user \"$USER\"{(isOneOfSeveral ? " multi_queue" : "")}";
        return problem switch
        {
            TapProblem.None => file!,
            TapProblem.Missing => throw Mistake($"there is no interface {name}; make it: {make}"),
            TapProblem.Down => throw Mistake($"{name} is down; bring it up: ip link set {name} up"),
            TapProblem.NoDriver => throw Mistake("the kernel has no TUN driver (/dev/net/tun); load it: modprobe tun"),
            TapProblem.NotAllowed => throw Mistake(
                $"{name} is not this user's; its owner is named when it is made, and has to be able to open "
                    + $"/dev/net/tun: {make}"),
            TapProblem.InUse => throw Mistake(
                $"{name} is in use by another process, perhaps another guest; give each a TAP device of its own"),
            TapProblem.OfAnotherKind when isOneOfSeveral =>
                throw Mistake($"{name} is no TAP device with several queues; make one: {make}, or leave out queues="),
            TapProblem.OfAnotherKind => throw Mistake(
                $"{name} is no TAP device with one queue; make one: {make}, or say queues= if it has several"),
            _ => throw Mistake($"{name} cannot be attached to: {Errno.Describe(error)}"),
        };
    }

    static UsageException Mistake(string what) => new($"{TapArgument.Flag}: {what}");
}
