using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Virtio;

// The registers one by one: virtio 1.2, 4.2.2.
public sealed partial class MmioTransport
{
    /// <summary>Of the half that the driver selected.</summary>
    private void ShowFeatures() =>
        _registers[VIRTIO_MMIO_DEVICE_FEATURES] = _deviceFeaturesSelector > 1
            ? 0 : (int)(_device.Features >> (int)(32 * _deviceFeaturesSelector));

    /// <summary>Of the queue that the driver selected.</summary>
    private void ShowQueue()
    {
        _registers[VIRTIO_MMIO_QUEUE_NUM_MAX] = SelectedQueue?.MaximumSize ?? 0;
        _registers[VIRTIO_MMIO_QUEUE_READY] = SelectedQueue is { IsReady: true } ? 1 : 0;
    }

    private void WriteRegister(int register, uint value)
    {
        switch (register)
        {
            case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
                _deviceFeaturesSelector = value;
                ShowFeatures();
                break;
            case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
                _driverFeaturesSelector = value;
                break;
            case VIRTIO_MMIO_DRIVER_FEATURES:
                WriteFeatures(value);
                break;
            case VIRTIO_MMIO_QUEUE_SEL:
                _queueSelector = value;
                ShowQueue();
                break;
            case VIRTIO_MMIO_QUEUE_NUM or VIRTIO_MMIO_QUEUE_READY
                or VIRTIO_MMIO_QUEUE_DESC_LOW or VIRTIO_MMIO_QUEUE_DESC_HIGH
                or VIRTIO_MMIO_QUEUE_AVAIL_LOW or VIRTIO_MMIO_QUEUE_AVAIL_HIGH
                or VIRTIO_MMIO_QUEUE_USED_LOW or VIRTIO_MMIO_QUEUE_USED_HIGH:
                WriteQueue(register, value);
                break;
            case VIRTIO_MMIO_QUEUE_NOTIFY:
                Notify(value);
                break;
            case VIRTIO_MMIO_INTERRUPT_ACK:
                Interlocked.And(ref InterruptStatus, ~(int)value);
                break;
            case VIRTIO_MMIO_STATUS:
                WriteStatus(value);
                break;
            // Which shared memory, of none.
            case VIRTIO_MMIO_SHM_SEL:
                break;
            default:
                Refuse(RegisterFault.Access);
                break;
        }
    }

    private SplitQueue? SelectedQueue =>
        _queueSelector < (uint)_queues.Length ? _device.Queues[(int)_queueSelector] : null;

    private void WriteFeatures(uint value)
    {
        if (_status != Driven)
        {
            Refuse(RegisterFault.Frozen);
            return;
        }
        // Bits from 64 on do not exist: only a driver that sets one is refused, when it is done.
        if (_driverFeaturesSelector > 1)
        {
            if (value != 0)
                Refuse(RegisterFault.Features);
            return;
        }
        int shift = (int)(32 * _driverFeaturesSelector);
        _driverFeatures = (_driverFeatures & ~((ulong)uint.MaxValue << shift)) | ((ulong)value << shift);
    }

    private void WriteQueue(int register, uint value)
    {
        if (SelectedQueue is not { } queue)
        {
            Refuse(RegisterFault.Queue);
            return;
        }
        if (_status != Agreed || (queue.IsReady && register != VIRTIO_MMIO_QUEUE_READY))
        {
            // Taking back what was not handed over changes nothing: drivers do so when they clean up.
            if (register != VIRTIO_MMIO_QUEUE_READY || value != 0 || queue.IsReady)
                Refuse(RegisterFault.Frozen);
            return;
        }
        ref QueueRegisters registers = ref _queues[_queueSelector];
        switch (register)
        {
            case VIRTIO_MMIO_QUEUE_NUM:
                registers.Size = value;
                break;
            case VIRTIO_MMIO_QUEUE_DESC_LOW:
                SetLow(ref registers.Descriptors, value);
                break;
            case VIRTIO_MMIO_QUEUE_DESC_HIGH:
                SetHigh(ref registers.Descriptors, value);
                break;
            case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
                SetLow(ref registers.Available, value);
                break;
            case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
                SetHigh(ref registers.Available, value);
                break;
            case VIRTIO_MMIO_QUEUE_USED_LOW:
                SetLow(ref registers.Used, value);
                break;
            case VIRTIO_MMIO_QUEUE_USED_HIGH:
                SetHigh(ref registers.Used, value);
                break;
            default:
                WriteReady(queue, registers, value);
                break;
        }
    }

    private void WriteReady(SplitQueue queue, in QueueRegisters registers, uint value)
    {
        if (value == 0)
            queue.Disable();
        else if (value != 1 || registers.Size > queue.MaximumSize || (!queue.IsReady
            && !queue.TryEnable((ushort)registers.Size, registers.Descriptors, registers.Available, registers.Used)))
            Refuse(RegisterFault.Queue);
        ShowQueue();
    }

    private static void SetLow(ref ulong address, uint value) => address = (address & ~(ulong)uint.MaxValue) | value;

    private static void SetHigh(ref ulong address, uint value) => address = (uint)address | ((ulong)value << 32);

    private void Notify(uint queue)
    {
        bool isRunning = (_status & ~VIRTIO_CONFIG_S_NEEDS_RESET) == Running;
        if (!isRunning || queue >= (uint)_queues.Length || !_device.Queues[(int)queue].IsReady)
            Refuse(RegisterFault.Notify);
        else
            VirtioDevice.Signal(_device.NotifyFile((int)queue));
    }
}
