using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Fuzz.Targets.Virtio;

/// <summary>What a driver's writes should have made of a device: virtio 1.2, 3.1.1, in plain words.</summary>
sealed class TransportModel(TestRam ram, ulong offered)
{
    private const int Queues = 2;
    private const uint MaximumSize = 8;

    private readonly Queue[] _queues = [new(), new()];
    private ulong _features;
    private uint _featuresSelector;
    private uint _queueSelector;

    private sealed class Queue
    {
        public bool IsReady;
        public uint Size;
        public readonly ulong[] Addresses = new ulong[3];
    }

    /// <summary>Without VIRTIO_CONFIG_S_NEEDS_RESET.</summary>
    public int Status { get; private set; }

    public bool IsPaused { get; set; }

    public bool IsRunning => (Status & VIRTIO_CONFIG_S_DRIVER_OK) != 0;

    public bool IsReady(int queue) => _queues[queue].IsReady;

    public bool Agrees(int number, in QueueState state)
    {
        Queue queue = _queues[number];
        return state.Size == queue.Size && state.Descriptors == queue.Addresses[0]
            && state.Available == queue.Addresses[1] && state.Used == queue.Addresses[2];
    }

    /// <summary>What was said of queues that are not ready is in no snapshot.</summary>
    public void ForgetUnfinished()
    {
        foreach (Queue queue in _queues.Where(queue => !queue.IsReady))
        {
            queue.Size = 0;
            Array.Clear(queue.Addresses);
        }
    }

    public void Write(int register, uint value)
    {
        switch (register)
        {
            case VIRTIO_MMIO_STATUS:
                WriteStatus((int)value);
                break;
            case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
                _featuresSelector = value;
                break;
            case VIRTIO_MMIO_QUEUE_SEL:
                _queueSelector = value;
                break;
            case VIRTIO_MMIO_DRIVER_FEATURES when Status == 3 && _featuresSelector == 0:
                _features = (_features >> 32 << 32) | value;
                break;
            case VIRTIO_MMIO_DRIVER_FEATURES when Status == 3 && _featuresSelector == 1:
                _features = (uint)_features | (ulong)value << 32;
                break;
            default:
                if (Status == 11 && _queueSelector < Queues)
                    WriteQueue(_queues[_queueSelector], register, value);
                break;
        }
    }

    private void WriteStatus(int value)
    {
        if (value == 0)
        {
            Reset();
            return;
        }
        // The bit that only the device sets says nothing when a driver writes it.
        value &= ~VIRTIO_CONFIG_S_NEEDS_RESET;
        if (value == (Status | VIRTIO_CONFIG_S_FAILED))
            Status = value;
        else if ((Status, value) is (0, 1) or (1, 3) or (11, 15))
            Status = value;
        else if ((Status, value) is (3, 11) && (_features & ~offered) == 0 && _features >> VIRTIO_F_VERSION_1 != 0)
            Status = value;
    }

    private void Reset()
    {
        Status = 0;
        _features = 0;
        _featuresSelector = _queueSelector = 0;
        for (int i = 0; i < Queues; i++)
            _queues[i] = new Queue();
    }

    private void WriteQueue(Queue queue, int register, uint value)
    {
        if (register == VIRTIO_MMIO_QUEUE_READY)
        {
            if (value == 0)
                queue.IsReady = false;
            else if (value == 1)
                queue.IsReady |= MayBe(queue);
            return;
        }
        if (queue.IsReady)
            return;
        if (register == VIRTIO_MMIO_QUEUE_NUM)
            queue.Size = value;
        int part = (register - VIRTIO_MMIO_QUEUE_DESC_LOW) / 0x10;
        if (register < VIRTIO_MMIO_QUEUE_DESC_LOW || register > VIRTIO_MMIO_QUEUE_USED_HIGH || register % 0x10 > 4)
            return;
        ref ulong address = ref queue.Addresses[part];
        address = register % 0x10 == 0 ? (address >> 32 << 32) | value : (uint)address | (ulong)value << 32;
    }

    private bool MayBe(Queue queue)
    {
        if (queue.Size is not (1 or 2 or 4 or 8))
            return false;
        (decimal Start, decimal End)[] rings = new (decimal, decimal)[3];
        uint[] lengths = [16 * queue.Size, 6 + (2 * queue.Size), 6 + (8 * queue.Size)];
        uint[] alignments = [16, 2, 4];
        for (int i = 0; i < 3; i++)
        {
            rings[i] = (queue.Addresses[i], queue.Addresses[i] + (decimal)lengths[i]);
            if (queue.Addresses[i] % alignments[i] != 0 || !IsRam(rings[i]))
                return false;
            for (int j = 0; j < i; j++)
                if (Math.Max(rings[i].Start, rings[j].Start) < Math.Min(rings[i].End, rings[j].End))
                    return false;
        }
        return MaximumSize >= queue.Size;
    }

    private bool IsRam((decimal Start, decimal End) range) =>
        (range.Start >= TestRam.LowStart && range.End <= TestRam.LowStart + (decimal)ram.BytesEach)
        || (range.Start >= TestRam.HighStart && range.End <= TestRam.HighStart + (decimal)ram.BytesEach);
}
