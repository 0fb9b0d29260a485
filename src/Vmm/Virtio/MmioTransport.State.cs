using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Virtio;

// Saving and restoring.
public sealed partial class MmioTransport
{
    /// <summary>The transport and the queues as they are between two requests. The device is paused.</summary>
    public TransportState Save()
    {
        lock (_lock)
        {
            return new TransportState
            {
                Status = _status,
                InterruptStatus = InterruptStatus,
                DriverFeatures = _driverFeatures,
                DeviceFeaturesSelector = _deviceFeaturesSelector,
                DriverFeaturesSelector = _driverFeaturesSelector,
                QueueSelector = _queueSelector,
                Queues = [.. _device.Queues.Select(queue => queue.Save())],
            };
        }
    }

    /// <summary>
    /// Makes a device that was just created, and is paused, what it was. False when none could have been that: it is
    /// as after a reset then. What the driver said of queues that it had not handed over is forgotten.
    /// </summary>
    public bool TryRestore(TransportState state)
    {
        lock (_lock)
        {
            Reset();
            int step = state.Status & ~(VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED);
            bool isAgreed = step is Agreed or Running;
            bool isValid = step is 0 or Acknowledged or Driven or Agreed or Running
                && state.Queues.Count == _queues.Length
                && (state.InterruptStatus & ~(VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG)) == 0
                && (!isAgreed || MayAgree(state.DriverFeatures));
            for (int i = 0; isValid && i < _queues.Length; i++)
                isValid = (isAgreed || !state.Queues[i].IsReady) && _device.Queues[i].TryRestore(state.Queues[i]);
            if (!isValid)
            {
                Reset();
                return false;
            }
            for (int i = 0; i < _queues.Length; i++)
            {
                QueueState queue = state.Queues[i];
                _queues[i] = new QueueRegisters
                {
                    Size = queue.Size,
                    Descriptors = queue.Descriptors,
                    Available = queue.Available,
                    Used = queue.Used,
                };
            }
            AddStatus(state.Status);
            InterruptStatus = state.InterruptStatus;
            _driverFeatures = state.DriverFeatures;
            _deviceFeaturesSelector = state.DeviceFeaturesSelector;
            _driverFeaturesSelector = state.DriverFeaturesSelector;
            _queueSelector = state.QueueSelector;
            ShowFeatures();
            ShowQueue();
            if (step == Running && (state.Status & VIRTIO_CONFIG_S_NEEDS_RESET) == 0)
                _device.Activate(_driverFeatures);
            return true;
        }
    }
}
