namespace Sandbox.Vmm.Devices.Serial;

/// <summary>
/// Bytes between a vCPU that produces them one by one and a thread that takes many at once. Bounded: what finds no room
/// is refused.
/// </summary>
public sealed class OutputQueue : ISerialOutput
{
    public const int Capacity = 64 << 10;

    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _waiting = new(0);
    private readonly byte[] _bytes = new byte[Capacity];
    private int _start;
    private int _count;
    private bool _wasFull;
    private bool _takerSleeps;
    private bool _closed;

    /// <summary>Is called by the taking thread when there is room again after there was none.</summary>
    public Action? Ready { get; set; }

    public bool HasRoom
    {
        get
        {
            lock (_lock)
            {
                _wasFull |= _count == Capacity;
                return _count < Capacity;
            }
        }
    }

    public bool TrySend(byte value)
    {
        lock (_lock)
        {
            _wasFull |= _count >= Capacity - 1;
            if (_count == Capacity)
                return false;
            _bytes[(_start + _count) % Capacity] = value;
            _count++;
            WakeTaker();
            return true;
        }
    }

    /// <summary>Nothing more comes: <see cref="Take"/> gives what is left, and then nothing.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _closed = true;
            WakeTaker();
        }
    }

    /// <summary>Waits for bytes and takes as many as there are and fit. For one thread.</summary>
    /// <returns>0 after <see cref="Close"/>, when nothing is left.</returns>
    public int Take(Span<byte> destination)
    {
        while (true)
        {
            int taken;
            bool ready;
            lock (_lock)
            {
                taken = Math.Min(_count, destination.Length);
                for (int i = 0; i < taken; i++)
                    destination[i] = _bytes[(_start + i) % Capacity];
                _start = (_start + taken) % Capacity;
                _count -= taken;
                ready = taken > 0 && _wasFull;
                if (taken > 0)
                    _wasFull = false;
                if (taken == 0 && _closed)
                    return 0;
                _takerSleeps = taken == 0;
            }
            if (ready)
                Ready?.Invoke();
            if (taken > 0)
                return taken;
            _waiting.Wait();
        }
    }

    private void WakeTaker()
    {
        if (!_takerSleeps)
            return;
        _takerSleeps = false;
        _waiting.Release();
    }
}
