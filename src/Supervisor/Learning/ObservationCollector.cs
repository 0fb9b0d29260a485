using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.Learning;

/// <summary>Counts what one guest asks for and is given. What a mount refuses is not for a policy to allow.</summary>
sealed class ObservationCollector
{
    readonly Dictionary<PathRequest, long> _paths = [];
    readonly Dictionary<(string, string), long> _moves = [];
    readonly Dictionary<int, long> _calls = [];
    readonly Dictionary<(bool, string), long> _network = [];
    long _unnameable;

    /// <summary>The guest asks for more than can be kept.</summary>
    public bool IsTooMuch => _paths.Count + _moves.Count + _calls.Count + _network.Count > Observations.MaximumRequests;

    /// <param name="message">Checked.</param>
    public void Take(in DecisionMessage message)
    {
        if (message.Result != 0 || IsTooMuch)
            return;
        ReadOnlySpan<byte> request = ((ReadOnlySpan<byte>)message.Request)[..(int)message.Length];
        switch (message.Kind)
        {
            case DecisionKind.SystemCall:
                Count(_calls, (int)BinaryPrimitives.ReadUInt64LittleEndian(request));
                break;
            case DecisionKind.Path or DecisionKind.Look when TryName(request, message, out string path):
                Count(_paths, new PathRequest(message.Access, path));
                break;
            case DecisionKind.Move when request.IndexOf((byte)0) is var end
                && TryName(request[..end], message, out string old)
                && TryName(request[(end + 1)..], message, out string renamed):
                Count(_moves, (old, renamed));
                break;
            default:
                _unnameable++;
                break;
        }
    }

    /// <summary>What the broker decided. One thread calls this, and none the other <c>Take</c>'s.</summary>
    public void Take(bool allowed, Request request)
    {
        if (!IsTooMuch)
            Count(_network, (allowed, request.ToString()));
    }

    public Observations Finish() => Observations.OfRun(_paths, _moves, _calls, _unnameable, _network);

    static void Count<TKey>(Dictionary<TKey, long> counts, TKey key) where TKey : notnull =>
        CollectionsMarshal.GetValueRefOrAddDefault(counts, key, out _)++;

    static bool TryName(ReadOnlySpan<byte> bytes, in DecisionMessage message, out string path)
    {
        path = "";
        if (message.Truncated != 0 || !Utf8.IsValid(bytes))
            return false;
        path = Encoding.UTF8.GetString(bytes);
        return PolicyText.CanSay(path);
    }
}
