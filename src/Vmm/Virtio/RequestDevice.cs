using Sandbox.Host;

namespace Sandbox.Vmm.Virtio;

/// <summary>
/// A device that takes chains one after the other: requests, which it answers as they come, and room, which it fills
/// when it has something to offer.
/// </summary>
public abstract class RequestDevice : VirtioDevice
{
    private readonly DescriptorChain[] _chains;

    /// <summary>Why no more requests are taken.</summary>
    private enum TurnEnd
    {
        /// <summary>There are none.</summary>
        Empty,

        /// <summary>As many are under way as can be.</summary>
        Full,

        /// <summary>The next one has to wait, or the driver broke a rule.</summary>
        Held,

        /// <summary>Others have their turn.</summary>
        Over,
    }

    /// <inheritdoc cref="VirtioDevice(string, int, ulong, int, GuestRam, DeviceMetrics, ReadOnlySpan{ushort})"/>
    protected RequestDevice(
        string name, int type, ulong features, int configurationBytes, GuestRam ram, DeviceMetrics metrics,
        params ReadOnlySpan<ushort> queueSizes)
        : base(name, type, features, configurationBytes, ram, metrics, queueSizes)
    {
        _chains = new DescriptorChain[queueSizes.Length];
        for (int i = 0; i < queueSizes.Length; i++)
            _chains[i] = new DescriptorChain(queueSizes[i]);
    }

    /// <summary>Serves one request. The chain is the queue's own, for the next request again.</summary>
    protected abstract RequestResult Serve(int queue, DescriptorChain chain);

    /// <summary>Whether there may be something to fill a chain of this queue with.</summary>
    protected virtual bool HasOffer(int queue) => false;

    /// <summary>Fills a chain. Blocked when there was nothing after all; then <see cref="HasOffer"/> knows.</summary>
    protected virtual RequestResult Offer(int queue, DescriptorChain chain) => RequestResult.Blocked;

    protected internal override bool ServeQueue(DeviceWorker worker, int queue) => ServeRequests(worker, queue);

    /// <summary>
    /// Where the next request goes; null when as many are under way as can be: the end of one has the queue served.
    /// </summary>
    protected virtual DescriptorChain? NextChain(int queue) => _chains[queue];

    /// <summary>No request is taken for now: what was kept is begun, and what has ended is returned.</summary>
    protected virtual void EndTurn(int queue)
    {
    }

    /// <summary>Answers what the driver asks, for one turn.</summary>
    /// <returns>Whether requests are left that nothing will tell of.</returns>
    protected bool ServeRequests(DeviceWorker worker, int number)
    {
        SplitQueue queue = Queues[number];
        int left = TurnLimit;
        do
        {
            queue.DisableNotifications();
            TurnEnd end = TakeRequests(worker, number, ref left);
            EndTurn(number);
            if (end is TurnEnd.Over or TurnEnd.Held)
                return end == TurnEnd.Over;
            if (end == TurnEnd.Full && NextChain(number) is null)
                return false;
        }
        while (worker.LookFor(number) || queue.EnableNotifications());
        return false;
    }

    /// <summary>Returns a request to the driver.</summary>
    /// <param name="bytes">Written into the chain, from its first writable byte on.</param>
    /// <param name="started">When it was taken, of the monotonic clock.</param>
    protected void Return(int number, ushort head, uint bytes, long started)
    {
        Queues[number].Push(head, bytes);
        Metrics.Latency[number].Record(HostClock.MonotonicNanoseconds() - started);
        Publish(Queues[number]);
    }

    private TurnEnd TakeRequests(DeviceWorker worker, int number, ref int left)
    {
        SplitQueue queue = Queues[number];
        while (NextChain(number) is { } chain)
        {
            if (!queue.TryPop(chain))
            {
                if (queue.Fault == QueueFault.None)
                    return TurnEnd.Empty;
                Fail(queue.Fault);
                return TurnEnd.Held;
            }
            long started = HostClock.MonotonicNanoseconds();
            if (!Finish(worker, number, chain, Serve(number, chain), started))
                return TurnEnd.Held;
            if (--left == 0 || worker.MustYield)
                return TurnEnd.Over;
        }
        return TurnEnd.Full;
    }

    /// <summary>Gives the driver what there is for it, while it has room, for one turn.</summary>
    /// <returns>Whether something is left that nothing will tell of.</returns>
    protected bool ServeOffers(DeviceWorker worker, int number)
    {
        SplitQueue queue = Queues[number];
        DescriptorChain chain = _chains[number];
        int left = TurnLimit;
        while (!IsBroken && HasOffer(number))
        {
            if (!queue.TryPop(chain))
            {
                if (queue.Fault != QueueFault.None)
                    Fail(queue.Fault);
                else if (queue.EnableNotifications())
                    continue;
                return false;
            }
            long started = HostClock.MonotonicNanoseconds();
            Finish(worker, number, chain, Offer(number, chain), started);
            if (--left == 0 || worker.MustYield)
                return true;
        }
        return false;
    }

    /// <returns>Whether the next chain may follow at once.</returns>
    private bool Finish(DeviceWorker worker, int number, DescriptorChain chain, RequestResult result, long started)
    {
        switch (result.End)
        {
            case RequestResult.RequestEnd.Done:
                Return(number, chain.Head, (uint)result.Value, started);
                return true;
            case RequestResult.RequestEnd.Later:
                Queues[number].Unpop();
                worker.WakeAt(result.Value);
                return false;
            case RequestResult.RequestEnd.Blocked:
                Queues[number].Unpop();
                return false;
            case RequestResult.RequestEnd.Broken:
                Fail((QueueFault)result.Value);
                return false;
            default:
                return true;
        }
    }
}
