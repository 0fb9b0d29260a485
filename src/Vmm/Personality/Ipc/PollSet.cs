using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Personality.Waiting;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// The files that one thread waits for in poll(2) or select(2). Belongs to the thread and is used again for its
/// next call, so that waiting on the usual handful of files allocates nothing.
/// </summary>
sealed class PollSet(GuestThread thread)
{
    /// <summary>Entries kept between calls; what a larger call needed is dropped after it.</summary>
    private const int Kept = 256;

    private struct Item
    {
        public OpenFile? File;
        public ThreadWaitEntry? Entry;
        public PollEvents Wanted;
        public PollEvents Ready;
    }

    /// <summary>Bytes that an entry takes, its place in a queue included.</summary>
    private const int EntryCost = 96;

    private Item[] _items = new Item[8];
    private int _count;
    private long _reserved;

    /// <summary>Charges the guest for more than the usual handful, until <see cref="Clear"/>.</summary>
    public bool TryReserve(long bytes)
    {
        if (!thread.Personality.KernelMemory.TryReserve(bytes))
            return false;
        _reserved += bytes;
        return true;
    }

    /// <summary>
    /// Adds a descriptor; one that is not open counts as ready with <see cref="PollEvents.Invalid"/>.
    /// </summary>
    /// <returns>False for -ENOMEM.</returns>
    public bool TryAdd(int descriptor, PollEvents wanted)
    {
        if (_count == _items.Length)
        {
            if (_count >= Kept && !TryReserve((long)_count * EntryCost))
                return false;
            Array.Resize(ref _items, 2 * _count);
        }
        ref Item item = ref _items[_count++];
        item.File = descriptor < 0 ? null : InputOutputCalls.AcquireAny(thread, descriptor);
        item.Wanted = wanted | PollEvents.Error | PollEvents.HangUp;
        item.Ready = item.File is null && descriptor >= 0 ? PollEvents.Invalid : PollEvents.None;
        return true;
    }

    public PollEvents Ready(int index) => _items[index].Ready;

    public bool HasInvalid
    {
        get
        {
            for (int i = 0; i < _count; i++)
            {
                if (_items[i].Ready == PollEvents.Invalid)
                    return true;
            }
            return false;
        }
    }

    /// <summary>Waits until a file is ready, a signal comes or the deadline passes.</summary>
    /// <param name="deadline">Host CLOCK_MONOTONIC nanoseconds; 0 to look once.</param>
    /// <returns>How many are ready (0: timed out), or <see cref="Restart.System"/>.</returns>
    public long Wait(long deadline)
    {
        int ready = Scan();
        if (ready > 0 || deadline == 0)
            return ready;
        Join();
        bool timedOut = false;
        while (true)
        {
            ready = Scan();
            if (ready > 0 || timedOut)
                return ready;
            if (thread.MayWait() is var code and not 0)
                return code;
            timedOut = !thread.Parker.Park(deadline);
        }
    }

    /// <summary>Leaves all queues and lets go of the files. Always call it last.</summary>
    public void Clear()
    {
        for (int i = 0; i < _count; i++)
        {
            ref Item item = ref _items[i];
            item.Entry?.Leave();
            item.File?.Release();
            item.File = null;
        }
        _count = 0;
        if (_items.Length > Kept)
            _items = new Item[8];
        thread.Personality.KernelMemory.Release(_reserved);
        _reserved = 0;
    }

    private int Scan()
    {
        int ready = 0;
        for (int i = 0; i < _count; i++)
        {
            ref Item item = ref _items[i];
            if (item.File is { } file)
                item.Ready = file.Poll(thread) & item.Wanted;
            if (item.Ready != PollEvents.None)
                ready++;
        }
        return ready;
    }

    private void Join()
    {
        for (int i = 0; i < _count; i++)
        {
            ref Item item = ref _items[i];
            if (item.File?.GetWaiters(thread) is not { } queue)
                continue;
            item.Entry ??= new ThreadWaitEntry(thread.Parker);
            item.Entry.Interest = item.Wanted;
            queue.Add(item.Entry);
        }
    }
}
