using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Virtio;

// The registers one by one: virtio 1.2, 4.2.2.
public sealed partial class MmioTransport
{
    private bool TryReadRegister(int register, out uint value)
    {
        switch (register)
        {
            case VIRTIO_MMIO_MAGIC_VALUE:
                value = Magic;
                return true;
            case VIRTIO_MMIO_VERSION:
                value = LayoutVersion;
                return true;
            case VIRTIO_MMIO_DEVICE_ID:
                value = (uint)_device.Type;
                return true;
            case VIRTIO_MMIO_VENDOR_ID:
                value = Vendor;
                return true;
            case VIRTIO_MMIO_DEVICE_FEATURES:
                value = _deviceFeaturesSelector > 1
                    ? 0 : (uint)(_device.Features >> (int)(32 * _deviceFeaturesSelector));
                return true;
            case VIRTIO_MMIO_QUEUE_NUM_MAX:
                value = SelectedQueue?.MaximumSize ?? 0u;
                return true;
            case VIRTIO_MMIO_QUEUE_READY:
                value = SelectedQueue is { IsReady: true } ? 1u : 0u;
                return true;
            case VIRTIO_MMIO_INTERRUPT_STATUS:
                value = (uint)Volatile.Read(ref _interruptStatus);
                return true;
            case VIRTIO_MMIO_STATUS:
                value = (uint)Volatile.Read(ref _status);
                return true;
            // No shared memory: regions that do not exist are this long, and there (4.2.2).
            case VIRTIO_MMIO_SHM_LEN_LOW or VIRTIO_MMIO_SHM_LEN_HIGH
                or VIRTIO_MMIO_SHM_BASE_LOW or VIRTIO_MMIO_SHM_BASE_HIGH:
                value = uint.MaxValue;
                return true;
            case VIRTIO_MMIO_CONFIG_GENERATION:
                value = _device.Generation;
                return true;
            default:
                value = 0;
                return false;
        }
    }

    private void WriteRegister(int register, uint value)
    {
        switch (register)
        {
            case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
                _deviceFeaturesSelector = value;
                break;
            case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
                _driverFeaturesSelector = value;
                break;
            case VIRTIO_MMIO_DRIVER_FEATURES:
                WriteFeatures(value);
                break;
            case VIRTIO_MMIO_QUEUE_SEL:
                _queueSelector = value;
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
                Interlocked.And(ref _interruptStatus, ~(int)value);
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
