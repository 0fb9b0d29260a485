namespace Sandbox.Vmm.Memory;

// Guest memory lent to one host call: read(2) of a large file would otherwise copy everything twice.
public sealed unsafe partial class AddressSpace
{
    private int _writePins;
    private int _pinsRefused;

    /// <summary>
    /// Holds guest pages in place for a host call that moves bytes nobody looks at. Only pages of the pool, and only as
    /// many as are neighbours on the host.
    /// </summary>
    /// <param name="minimum">False rather than fewer bytes than this.</param>
    /// <param name="write">The call writes into them.</param>
    internal bool TryPin(VirtualAddress start, int length, int minimum, bool write, out PinnedMemory pinned)
    {
        pinned = default;
        lock (_lock)
        {
            if (write && Volatile.Read(ref _pinsRefused) > 0)
                return false;
            ulong address = start.Value;
            PhysicalAddress first = PhysicalAddress.None;
            int bytes = 0;
            while (bytes < length && TryReach(address, write, out PhysicalAddress physical)
                && PagePool.Contains(physical) && (bytes == 0 || physical.Value == first.Value + (ulong)bytes))
            {
                if (bytes == 0)
                    first = physical;
                int part = Math.Min(length - bytes, Page.Size - (int)(address & (Page.Size - 1)));
                bytes += part;
                address += (ulong)part;
            }
            if (bytes < minimum)
                return false;
            pinned = new PinnedMemory(this, first, bytes, write);
            foreach (PhysicalAddress page in pinned.Pages)
                _memory.Pool.Acquire(page);
            if (write)
                _writePins++;
            return true;
        }
    }

    /// <summary>
    /// For changes after which a write to a page's address goes to a copy: a call in flight would fill the original.
    /// Waits, without the lock, until no page is pinned for writing, and lets none be pinned until the result is
    /// disposed of.
    /// </summary>
    private PinsRefused RefusePins()
    {
        Interlocked.Increment(ref _pinsRefused);
        SpinWait spin = default;
        while (true)
        {
            lock (_lock)
            {
                if (_writePins == 0)
                    return new PinsRefused(this);
            }
            spin.SpinOnce();
        }
    }

    private readonly ref struct PinsRefused(AddressSpace space)
    {
        public void Dispose() => Interlocked.Decrement(ref space._pinsRefused);
    }

    private void Unpin(in PinnedMemory pinned)
    {
        foreach (PhysicalAddress page in pinned.Pages)
            _memory.Pool.Release(page);
        if (!pinned.IsForWriting)
            return;
        lock (_lock)
            _writePins--;
    }

    /// <summary>Pages that stay where they are until <see cref="Dispose"/>, whatever the guest does meanwhile.</summary>
    internal readonly ref struct PinnedMemory(AddressSpace owner, PhysicalAddress first, int length, bool write)
    {
        /// <summary>What the host call may move. The guest changes it at will: never look inside.</summary>
        public Span<byte> Bytes => new(owner._memory.Pool.HostAddress(first), length);

        public bool IsForWriting => write;

        public PageRun Pages => new(Page.RoundDown(first.Value), first.Value + (ulong)length);

        public void Dispose() => owner.Unpin(this);
    }

    /// <summary>The pages from one guest-physical address to another.</summary>
    internal struct PageRun(ulong start, ulong end)
    {
        private ulong _next = start;

        public PhysicalAddress Current { get; private set; }

        public readonly PageRun GetEnumerator() => this;

        public bool MoveNext()
        {
            if (_next >= end)
                return false;
            Current = new PhysicalAddress(_next);
            _next += Page.Size;
            return true;
        }
    }
}
