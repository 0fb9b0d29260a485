using System.Buffers.Binary;
using Sandbox.Host;
using Sandbox.Vmm.Devices;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Virtio;

/// <summary>
/// The registers of a virtio device in memory (virtio 1.2, 4.2, version 2), and the one state machine of a device's
/// life. The driver has to take every step of 3.1.1 in order; what is decided stays as it is until a reset. What it
/// must not do is ignored and counted (<see cref="RegisterFault"/>).
/// </summary>
public sealed partial class MmioTransport : IBusDevice, IVirtioTransport
{
    /// <summary>Bytes of registers; a multiple of this is a good base.</summary>
    public const ulong Length = 0x200;

    private const int Magic = 0x74726976;
    private const int LayoutVersion = 2;

    /// <summary>"SBOX": any number will do (4.2.2).</summary>
    private const int Vendor = 0x584f4253;

    private const int Known = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK
        | VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FAILED;

    private const int Acknowledged = VIRTIO_CONFIG_S_ACKNOWLEDGE;
    private const int Driven = Acknowledged | VIRTIO_CONFIG_S_DRIVER;
    private const int Agreed = Driven | VIRTIO_CONFIG_S_FEATURES_OK;
    private const int Running = Agreed | VIRTIO_CONFIG_S_DRIVER_OK;

    private readonly Lock _lock = new();
    private readonly VirtioDevice _device;
    private readonly IInterruptLine _line;
    private readonly QueueRegisters[] _queues;
    private readonly RegisterPage _registers;
    private int _status;
    private uint _deviceFeaturesSelector;
    private uint _driverFeaturesSelector;
    private uint _queueSelector;
    private ulong _driverFeatures;

    /// <param name="line">Edge-triggered: raised for every interrupt, whatever is pending.</param>
    public MmioTransport(VirtioDevice device, IInterruptLine line)
    {
        _device = device;
        _line = line;
        _registers = device.Registers;
        _queues = new QueueRegisters[device.Queues.Count];
        _registers[VIRTIO_MMIO_MAGIC_VALUE] = Magic;
        _registers[VIRTIO_MMIO_VERSION] = LayoutVersion;
        _registers[VIRTIO_MMIO_DEVICE_ID] = device.Type;
        _registers[VIRTIO_MMIO_VENDOR_ID] = Vendor;
        // No shared memory: regions that do not exist are this long, and there (4.2.2).
        _registers[VIRTIO_MMIO_SHM_LEN_LOW] = _registers[VIRTIO_MMIO_SHM_LEN_HIGH] = -1;
        _registers[VIRTIO_MMIO_SHM_BASE_LOW] = _registers[VIRTIO_MMIO_SHM_BASE_HIGH] = -1;
        ShowFeatures();
        ShowQueue();
        device.Attach(this);
    }

    /// <summary>What the driver says of a queue until it hands it over.</summary>
    private struct QueueRegisters
    {
        public uint Size;
        public ulong Descriptors;
        public ulong Available;
        public ulong Used;
    }

    public VirtioDevice Device => _device;

    private ref int InterruptStatus => ref _registers[VIRTIO_MMIO_INTERRUPT_STATUS];

    public int QueueCount => _queues.Length;

    /// <summary>
    /// The eventfd of a queue's notifications, for KVM_IOEVENTFD: 4 bytes at base + VIRTIO_MMIO_QUEUE_NOTIFY, datamatch
    /// the queue's number. Without it a notification arrives as a write and does the same.
    /// </summary>
    public FileDescriptor NotifyFile(int queue) => _device.NotifyFile(queue);

    /// <summary>Starts the device's threads: once, before the guest runs.</summary>
    /// <exception cref="HostException">The host gives no more threads.</exception>
    public void Start() => _device.Start();

    /// <summary>Waits for what is being served; the device rests until <see cref="Resume"/>.</summary>
    public void Pause()
    {
        lock (_lock)
            _device.Pause();
    }

    public void Resume()
    {
        lock (_lock)
            _device.Resume();
    }

    /// <summary>What <see cref="RegisterPage"/> holds, for a driver that does not see the page itself.</summary>
    public void Read(ulong offset, Span<byte> data) => _registers.Read(offset, data);

    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        lock (_lock)
        {
            if (offset >= VIRTIO_MMIO_CONFIG)
                WriteConfiguration(offset, data);
            else if (IsRegister(offset, data.Length))
                WriteRegister((int)offset, BinaryPrimitives.ReadUInt32LittleEndian(data));
        }
    }

    void IVirtioTransport.InterruptUsed() => Interrupt(VIRTIO_MMIO_INT_VRING);

    void IVirtioTransport.InterruptConfiguration()
    {
        // A driver that is not ready reads the configuration when it is.
        if ((Volatile.Read(ref _status) & VIRTIO_CONFIG_S_DRIVER_OK) != 0)
            Interrupt(VIRTIO_MMIO_INT_CONFIG);
    }

    void IVirtioTransport.NeedReset()
    {
        AddStatus(VIRTIO_CONFIG_S_NEEDS_RESET);
        Interrupt(VIRTIO_MMIO_INT_CONFIG);
    }

    private void AddStatus(int bits)
    {
        Interlocked.Or(ref _status, bits);
        Interlocked.Or(ref _registers[VIRTIO_MMIO_STATUS], bits);
    }

    private void Interrupt(int reason)
    {
        Interlocked.Or(ref InterruptStatus, reason);
        _line.Raise();
    }

    private bool IsRegister(ulong offset, int bytes)
    {
        if (bytes == sizeof(uint) && offset % sizeof(uint) == 0)
            return true;
        Refuse(RegisterFault.Access);
        return false;
    }

    private void Refuse(RegisterFault fault) => _device.Metrics.Add(fault);

    private void WriteStatus(uint value)
    {
        if (value == 0)
        {
            _device.Metrics.CountReset();
            Reset();
            return;
        }
        int before = Volatile.Read(ref _status) & ~VIRTIO_CONFIG_S_NEEDS_RESET;
        int after = (int)value & ~VIRTIO_CONFIG_S_NEEDS_RESET;
        if ((after & ~Known) != 0 || (before & ~after) != 0)
        {
            Refuse(RegisterFault.Status);
            return;
        }
        int added = after & ~before;
        if (added == 0)
            return;
        switch (before, added)
        {
            case (_, VIRTIO_CONFIG_S_FAILED):
            case (0, VIRTIO_CONFIG_S_ACKNOWLEDGE):
            case (Acknowledged, VIRTIO_CONFIG_S_DRIVER):
                AddStatus(added);
                break;
            case (Driven, VIRTIO_CONFIG_S_FEATURES_OK):
                // The driver reads the bit back, and sees that it was not taken (3.1.1).
                if (MayAgree(_driverFeatures))
                    AddStatus(added);
                else
                    Refuse(RegisterFault.Features);
                break;
            case (Agreed, VIRTIO_CONFIG_S_DRIVER_OK):
                AddStatus(added);
                _device.Activate(_driverFeatures);
                break;
            default:
                Refuse(RegisterFault.Status);
                break;
        }
    }

    private bool MayAgree(ulong features) =>
        (features & ~_device.Features) == 0 && (features & (1UL << VIRTIO_F_VERSION_1)) != 0
        && _device.Accepts(features);

    private void Reset()
    {
        // In this order: once the status reads as 0, the device touches no queue and interrupts no more (2.4.1).
        _device.Reset();
        Array.Clear(_queues);
        _driverFeatures = 0;
        _deviceFeaturesSelector = _driverFeaturesSelector = _queueSelector = 0;
        ShowFeatures();
        ShowQueue();
        Volatile.Write(ref InterruptStatus, 0);
        Volatile.Write(ref _status, 0);
        Volatile.Write(ref _registers[VIRTIO_MMIO_STATUS], 0);
    }

    private void WriteConfiguration(ulong offset, ReadOnlySpan<byte> data)
    {
        bool isDriven = (_status & (VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FAILED)) == VIRTIO_CONFIG_S_DRIVER;
        if (!isDriven || !_device.TryWriteConfiguration((uint)Math.Min(offset - VIRTIO_MMIO_CONFIG, Length), data))
            Refuse(RegisterFault.Frozen);
    }
}
