using System.Buffers.Binary;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Virtio;

/// <summary>What a guest sees that reads the page and causes no exit.</summary>
public sealed unsafe class RegisterPageTests : IDisposable
{
    private readonly TestRam _memory = new();
    private readonly EchoDevice _device;
    private readonly TestDriver _driver;

    public RegisterPageTests()
    {
        _device = new EchoDevice(_memory.Ram);
        _driver = new TestDriver(_device, _memory);
    }

    [Fact]
    public void It_is_up_to_date_after_every_step()
    {
        Assert.Equal(0x7472_6976u, InPage(VIRTIO_MMIO_MAGIC_VALUE));
        _driver.Write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
        Assert.Equal((uint)(_device.Features >> 32), InPage(VIRTIO_MMIO_DEVICE_FEATURES));
        _driver.Write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
        Assert.Equal(0u, InPage(VIRTIO_MMIO_DEVICE_FEATURES));
        _driver.Write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
        Assert.Equal((uint)_device.Features, InPage(VIRTIO_MMIO_DEVICE_FEATURES));
        _driver.Write(VIRTIO_MMIO_QUEUE_SEL, 1);
        Assert.Equal(0u, InPage(VIRTIO_MMIO_QUEUE_NUM_MAX));
        _driver.Start();
        Assert.Equal((8u, 1u), (InPage(VIRTIO_MMIO_QUEUE_NUM_MAX), InPage(VIRTIO_MMIO_QUEUE_READY)));
        Assert.Equal(15u, InPage(VIRTIO_MMIO_STATUS));
        _device.Change(4, 0x99);
        Assert.Equal((uint)VIRTIO_MMIO_INT_CONFIG, InPage(VIRTIO_MMIO_INTERRUPT_STATUS));
        Assert.Equal(0x99u, InPage(VIRTIO_MMIO_CONFIG + 4));
        _driver.Write(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
        Assert.Equal(0u, InPage(VIRTIO_MMIO_INTERRUPT_STATUS));
        _driver.Write(VIRTIO_MMIO_STATUS, 0);
        Assert.Equal((0u, 0u), (InPage(VIRTIO_MMIO_STATUS), InPage(VIRTIO_MMIO_QUEUE_READY)));
    }

    [Fact]
    public void Nothing_but_registers_is_in_it()
    {
        _driver.Start();
        ReadOnlySpan<byte> behind = new(
            _device.Registers.Address + VIRTIO_MMIO_CONFIG + _device.Registers.ConfigurationBytes,
            (int)Page.Size - VIRTIO_MMIO_CONFIG - _device.Registers.ConfigurationBytes);
        Assert.Equal(-1, behind.IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void A_configuration_longer_than_its_place_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new RegisterPage(RegisterPage.MaximumConfiguration + 1));

    /// <summary>A driver that sees one half of a change sees two generations.</summary>
    [Fact]
    public void The_generation_changes_before_and_after_the_configuration()
    {
        uint before = InPage(VIRTIO_MMIO_CONFIG_GENERATION);
        _device.Change(4, 0x99);
        Assert.Equal(before + 2, InPage(VIRTIO_MMIO_CONFIG_GENERATION));
    }

    private uint InPage(int register) =>
        BinaryPrimitives.ReadUInt32LittleEndian(new ReadOnlySpan<byte>(_device.Registers.Address + register, sizeof(uint)));

    public void Dispose()
    {
        _driver.Dispose();
        _memory.Dispose();
    }
}
