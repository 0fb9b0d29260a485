using Sandbox.Host;

namespace Sandbox.Vmm.Virtio;

/// <summary>
/// A device that takes chains one after the other: requests, which it answers as they come, and room, which it fills
/// when it has something to offer.
/// </summary>
public abstract class RequestDevice : VirtioDevice
{
    private readonly DescriptorChain[] _chains;

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

    /// <summary>Answers what the driver asks, for one turn.</summary>
    /// <returns>Whether requests are left that nothing will tell of.</returns>
    protected bool ServeRequests(DeviceWorker worker, int number)
    {
        SplitQueue queue = Queues[number];
        DescriptorChain chain = _chains[number];
        int left = TurnLimit;
        do
        {
            queue.DisableNotifications();
            while (queue.TryPop(chain))
            {
                long started = HostClock.MonotonicNanoseconds();
                RequestResult result = Serve(number, chain);
                if (!Finish(worker, number, chain, result, started))
                    return false;
                if (--left == 0 || worker.MustYield)
                    return true;
            }
            if (queue.Fault != QueueFault.None)
            {
                Fail(queue.Fault);
                return false;
            }
        }
        while (worker.LookFor(queue) || queue.EnableNotifications());
        return false;
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
                Queues[number].Push(chain.Head, (uint)result.Value);
                Metrics.Latency[number].Record(HostClock.MonotonicNanoseconds() - started);
                Publish(Queues[number]);
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
