using System.Net;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Network;

/// <summary>
/// Opens sockets and looks names up for one guest, as far as the policy's rules allow it: they are asked here and
/// nowhere else. The VMM may have fallen to its guest; what no sound one sends ends it.
/// </summary>
/// <remarks>Requests are served by one thread; answers to lookups come from threads of the pool.</remarks>
sealed class NetworkBroker(NetworkGrant grant, SeqpacketChannel channel, INetworkDecisions? decisions = null)
    : IDisposable
{
    /// <summary>How often it is looked whether a log has room again, without which requests wait.</summary>
    const int RoomMilliseconds = 20;

    readonly Lock _lock = new();
    readonly RequestRate _rate = new(NetworkChannel.RequestsPerSecond);

    /// <summary>Numbers of the lookups that have no answer yet.</summary>
    readonly HashSet<ulong> _lookups = [];

    bool _disposed;

    /// <summary>For poll(2): readable when there is a request, or when the VMM has closed its end.</summary>
    public FileDescriptor Socket => channel.Socket;

    /// <summary>Milliseconds until a request may be served; 0 when one may be at once.</summary>
    public int MillisecondsUntilReady => decisions is { HasRoom: false }
        ? RoomMilliseconds
        : _rate.MillisecondsUntilRoom(HostClock.MonotonicNanoseconds());

    /// <summary>The host's resolver; tests have others.</summary>
    public Func<string, (int Error, IPAddress[] Addresses)> Resolver { get; init; } =
        static name => (HostNames.Look(name, out IPAddress[] addresses), addresses);

    /// <summary>Whether an address is the host's own; tests have others.</summary>
    public Func<IPAddress, bool> IsOwn { get; init; } = HostSockets.IsOwn;

    /// <summary>Takes one request, once there is one, and answers it, now or (a lookup) later.</summary>
    /// <param name="problem">What a VMM has done that no sound one does; null if nothing.</param>
    /// <returns>False when nothing more is to be heard.</returns>
    public bool Serve(out string? problem)
    {
        problem = null;
        NetworkRequest request;
        try
        {
            if (!channel.Receive(out request))
                return false;
        }
        catch (HostException bad) when (bad.Errno == EBADMSG)
        {
            problem = $"broke the network channel's rules ({bad.Advice ?? bad.Subject})";
            return false;
        }
        catch (HostException gone) when (gone.Errno == ECONNRESET)
        {
            return false;
        }

        _rate.Take(HostClock.MonotonicNanoseconds());
        if (NetworkQuestion.Read(request, out string wrong) is not NetworkQuestion question)
            problem = wrong;
        else
            problem = question.Action == NetworkAction.Resolve ? Resolve(request, question) : Open(request, question);
        return problem is null;
    }

    string? Open(in NetworkRequest request, in NetworkQuestion question)
    {
        int error = Decide(question);
        if (error != 0)
            return Answer(request.Number, error);
        FileDescriptor? socket = null;
        if (question.Action == NetworkAction.Connect)
        {
            NetworkQuestion from = new(
                NetworkAction.Listen, question.Protocol, request.From.ToAddress(), request.From.Port, null);
            bool isBound = question.Protocol == NetworkProtocol.Udp && from.Port != 0;
            error = isBound ? Decide(from) : 0;
            if (error == 0)
                error = HostSockets.Connect(
                    question.Protocol, question.Address!, question.Port, isBound ? from.Port : (ushort)0, out socket);
        }
        else
        {
            error = HostSockets.Listen(
                question.Protocol, question.Address!, question.Port,
                (request.Flags & NetworkRequestFlags.ReuseAddress) != 0, IsSixOnly(request, question), out socket);
        }

        using (socket)
            return Answer(request.Number, error, socket);
    }

    /// <summary>Both families listen at once only where the rules allow each.</summary>
    bool IsSixOnly(in NetworkRequest request, in NetworkQuestion question) =>
        !question.Address!.Equals(IPAddress.IPv6Any) || (request.Flags & NetworkRequestFlags.SixOnly) != 0
        || Decide(question with { Address = IPAddress.Any }) != 0;

    string? Resolve(in NetworkRequest request, in NetworkQuestion question)
    {
        int decided = Decide(question);
        if (decided != 0)
            return Answer(request.Number, decided);
        string name = question.Name!;
        if (grant.Pins.TryGetValue(name, out IReadOnlyList<IPAddress>? pinned))
            return Answer(request.Number, 0, addresses: [.. pinned.Take(NetworkChannel.MaximumAddresses)]);
        lock (_lock)
        {
            if (_lookups.Count >= NetworkChannel.MaximumLookups)
                return "asks for too many names at the same time";
            if (!_lookups.Add(request.Number))
                return "asks twice under one number";
        }

        ulong number = request.Number;
        ThreadPool.QueueUserWorkItem(_ => Look(number, name));
        return null;
    }

    /// <summary>In a thread of the pool.</summary>
    void Look(ulong number, string name)
    {
        (int error, IPAddress[] addresses) = Resolver(name);
        lock (_lock)
            _lookups.Remove(number);
        // A VMM that reads no answers gets none; that it did not is found at its next request.
        Answer(number, error, addresses: addresses);
    }

    /// <summary>The one place where anything about the network is decided.</summary>
    /// <returns>0, -EACCES, or -EAGAIN when it cannot be recorded now.</returns>
    int Decide(in NetworkQuestion question)
    {
        long began = HostClock.MonotonicNanoseconds();
        Verdict verdict = question.Action == NetworkAction.Resolve ? grant.Rules.Resolve(question.Name)
            // A port of the kernel's choice is one that no rule has been asked about.
            : question is { Action: NetworkAction.Listen, Port: 0 } ? new Verdict(false, Verdict.NoRule)
            : grant.Rules.Decide(question.Action, question.Protocol, question.Address!, question.Port);
        if (verdict.Allowed && question.Action == NetworkAction.Connect && LeadsToTheHost(question))
            verdict = new Verdict(false, Verdict.NoRule);
        if (decisions?.Decided(question, verdict, HostClock.MonotonicNanoseconds() - began) == false)
            return -EAGAIN;
        return verdict.Allowed ? 0 : -EACCES;
    }

    /// <summary>
    /// The host's own public addresses are behind its firewall from here: reserved, unless named. Those of reserved
    /// blocks had to be named anyway.
    /// </summary>
    bool LeadsToTheHost(in NetworkQuestion question) =>
        ReservedBlocks.Of(question.Address!) is null && IsOwn(question.Address!)
        && !grant.Names(question.Protocol, question.Address!, question.Port);

    /// <returns>What is wrong with a VMM that does not read its answers; else null.</returns>
    string? Answer(ulong number, int error, FileDescriptor? socket = null, ReadOnlySpan<IPAddress> addresses = default)
    {
        var answer = new NetworkAnswer
        {
            Version = NetworkChannel.Version,
            Number = number,
            Error = -error,
            Local = socket is null ? default : HostSockets.LocalOf(socket),
            AddressCount = (uint)addresses.Length,
        };
        Span<byte> room = answer.Addresses;
        for (int i = 0; i < addresses.Length; i++)
            addresses[i].MapToIPv6().TryWriteBytes(room[(16 * i)..], out _);
        try
        {
            lock (_lock)
                return _disposed || channel.SendUnlessFull(answer, socket is null ? [] : [socket])
                    ? null
                    : "does not read the answers to its network requests";
        }
        catch (HostException crowded) when (crowded.Errno == ETOOMANYREFS)
        {
            // Too many of this user's descriptors are on their way, in whatever processes: the guest may try again.
            return Answer(number, -EMFILE);
        }
        catch (HostException gone) when (gone.Errno is EPIPE or ECONNRESET)
        {
            return null;
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            channel.Dispose();
        }
    }
}
