using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Terminals;

namespace Sandbox.Vmm.Personality;

// The streams that the guest's first process finds open.
public sealed partial class LinuxPersonality
{
    private HostPoller? _hostPoller;

    internal HostPoller HostPoller =>
        _hostPoller ?? Interlocked.CompareExchange(ref _hostPoller, new HostPoller(), null) ?? _hostPoller;

    /// <summary>Bytes written to standard output and error so far.</summary>
    public long OutputBytes => _output?.Written ?? 0;

    private OutputLimit? _output;

    /// <summary>Puts the plan's streams at descriptors 0, 1 and 2 of a table that has none yet.</summary>
    /// <param name="descriptors">Those that came with the plan, by index; they must stay open.</param>
    /// <exception cref="HostException">A descriptor is not one, or the host cannot wait for it.</exception>
    public void OpenStandardStreams(DescriptorTable table, IReadOnlyList<FileDescriptor> descriptors)
    {
        GuestStreams streams = Plan.Streams;
        long limit = Plan.Limits.OutputBytes;
        _output = new OutputLimit(limit, () => End(EndCause.OutputLimit, 0, limit));

        OpenFile input = OpenStream(descriptors, streams.Stdin, null);
        Place(table, 0, input);
        OpenFile output = OpenStream(descriptors, streams.Stdout, _output);
        Place(table, 1, output);
        // One host descriptor for both is one open file for both, as after "2>&1".
        bool shared = streams.Stderr == streams.Stdout && output.TryAcquire();
        Place(table, 2, shared ? output : OpenStream(descriptors, streams.Stderr, _output));
    }

    private HostStream OpenStream(IReadOnlyList<FileDescriptor> descriptors, int index, OutputLimit? output)
    {
        GuestUser user = Plan.User;
        AnonymousInode inode = new(
            Interlocked.Increment(ref _lastAnonymousInode), Devices.Pipes, user.Uid, user.Gid);
        return new HostStream(descriptors[index], inode, HostPoller, output);
    }

    private static void Place(DescriptorTable table, int number, OpenFile file)
    {
        if (table.Replace(null, number, file, closeOnExec: false) != number)
            throw new InvalidOperationException($"no room for standard stream {number}");
    }
}
