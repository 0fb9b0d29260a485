using System.Net;
using BenchmarkDotNet.Attributes;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

namespace Sandbox.Bench.Policy;

/// <summary>One decision as rules grow, beside the rules gone through one by one.</summary>
[MemoryDiagnoser]
public class Decisions
{
    CompiledPolicy _policy = null!;
    OneByOne _peer = null!;
    byte[][] _paths = [];
    (IPAddress Address, ushort Port)[] _addresses = [];

    [Params(10, 100, 1_000, 10_000)]
    public int Rules { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _policy = SamplePolicy.Load(SamplePolicy.Text(Rules));
        _peer = new OneByOne(_policy.Model);
        _paths = SamplePolicy.Paths(Rules);
        _addresses = SamplePolicy.Addresses(Rules);
        for (int i = 0; i < _paths.Length; i++)
            if (Path(i) != _peer.Path(_paths[i], PathAccess.Read) || Connect(i) != _peer.Connect(_addresses[i].Address, _addresses[i].Port))
                throw new InvalidOperationException($"the two disagree about request {i}");
    }

    bool Path(int i) => _policy.Paths.Decide(_paths[i], PathAccess.Read).Allowed;

    bool Connect(int i) =>
        _policy.Network.Decide(NetworkAction.Connect, NetworkProtocol.Tcp, _addresses[i].Address, _addresses[i].Port).Allowed;

    [Benchmark(OperationsPerInvoke = SamplePolicy.Requests)]
    public int File()
    {
        int allowed = 0;
        for (int i = 0; i < SamplePolicy.Requests; i++)
            allowed += Path(i) ? 1 : 0;
        return allowed;
    }

    [Benchmark(OperationsPerInvoke = SamplePolicy.Requests)]
    public int Network()
    {
        int allowed = 0;
        for (int i = 0; i < SamplePolicy.Requests; i++)
            allowed += Connect(i) ? 1 : 0;
        return allowed;
    }

    /// <summary>Fewer, because each takes up to a millisecond.</summary>
    const int PeerRequests = 64;

    [Benchmark(OperationsPerInvoke = PeerRequests)]
    public int FileOneByOne()
    {
        int allowed = 0;
        for (int i = 0; i < PeerRequests; i++)
            allowed += _peer.Path(_paths[i], PathAccess.Read) ? 1 : 0;
        return allowed;
    }

    [Benchmark(OperationsPerInvoke = PeerRequests)]
    public int NetworkOneByOne()
    {
        int allowed = 0;
        for (int i = 0; i < PeerRequests; i++)
            allowed += _peer.Connect(_addresses[i].Address, _addresses[i].Port) ? 1 : 0;
        return allowed;
    }
}
