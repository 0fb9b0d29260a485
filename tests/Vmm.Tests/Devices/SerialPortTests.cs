using Sandbox.Vmm.Devices;
using Sandbox.Vmm.Devices.Serial;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Xunit;

namespace Sandbox.Vmm.Tests.Devices;

public class SerialPortTests : IInterruptLine
{
    private const byte Data = 0, InterruptEnable = 1, Identity = 2, LineControl = 3, ModemControl = 4, LineStatus = 5, Scratch = 7;

    private readonly OutputQueue _queue = new();
    private readonly SerialPort _port;
    private int _edges;

    public SerialPortTests() => _port = new SerialPort(this, _queue);

    void IInterruptLine.Raise() => _edges++;

    private byte Read(byte register)
    {
        byte[] data = new byte[1];
        _port.Read(register, data);
        return data[0];
    }

    private void Write(byte register, byte value) => _port.Write(register, [value]);

    [Fact]
    public void What_is_sent_arrives_and_the_next_is_asked_for()
    {
        Write(InterruptEnable, 2);
        Assert.Equal(1, _edges);
        Assert.Equal((0x02, 0x01), (Read(Identity) & 0x3f, Read(Identity) & 0x3f));
        foreach (byte each in "hello"u8)
            Write(Data, each);
        // The second edge asks for all that follow.
        Assert.Equal(2, _edges);
        byte[] taken = new byte[16];
        Assert.Equal(5, _queue.Take(taken));
        Assert.Equal("hello"u8.ToArray(), taken[..5]);
    }

    [Fact]
    public void Who_waits_for_room_is_told_when_the_guest_throws_its_input_away()
    {
        int told = 0;
        Write(InterruptEnable, 1);
        _port.InputTaken = () => told++;
        Assert.Equal(SerialPort.InputCapacity, _port.Receive(new byte[SerialPort.InputCapacity + 1]));
        Write(Identity, 3);
        Assert.Equal((1, 1), (told, _port.Receive([7])));
        // There was room for more.
        Write(Identity, 3);
        Assert.Equal(1, told);
    }

    [Fact]
    public void A_full_queue_makes_the_guest_wait_and_asks_again_when_there_is_room()
    {
        _queue.Ready = _port.OutputReady;
        Write(InterruptEnable, 2);
        for (int i = 0; i < OutputQueue.Capacity; i++)
        {
            Assert.Equal(0x60, Read(LineStatus));
            Write(Data, (byte)i);
        }
        Assert.Equal(0, Read(LineStatus));
        Assert.Equal(0, _port.Lost);
        _ = Read(Identity);
        Assert.Equal(0x01, Read(Identity) & 0x3f);
        Write(Data, 1);
        Assert.Equal(1, _port.Lost);
        int before = _edges;
        byte[] taken = new byte[4096];
        Assert.Equal(4096, _queue.Take(taken));
        Assert.Equal(before + 1, _edges);
        Assert.Equal((0x60, 0x02), (Read(LineStatus), Read(Identity) & 0x3f));
    }

    [Flaw("CVE-2020-27174")]
    [Fact]
    public void What_is_received_is_read_in_order_and_bounded()
    {
        int taken = 0;
        _port.InputTaken = () => taken++;
        Write(ModemControl, 2);
        Write(InterruptEnable, 1);
        Assert.Equal(SerialPort.InputCapacity, _port.Receive(new byte[1000]));
        Assert.Equal(0, _port.Receive([1]));
        Assert.Equal((1, 0x04, 0x01), (_edges, Read(Identity) & 0x3f, Read(LineStatus) & 0x1f));
        Assert.Equal((0, 2), (Read(Data), taken));
        Assert.Equal(1, _port.Receive([42, 43]));
        for (int i = 1; i < SerialPort.InputCapacity; i++)
            Assert.Equal(0, Read(Data));
        Assert.Equal(42, Read(Data));
        Assert.Equal((0, 0x60, 0x01), (Read(Data), Read(LineStatus), Read(Identity) & 0x3f));
    }

    // Looped back, it is the guest that fills what it does not take.
    [Flaw("CVE-2020-27174")]
    [Fact]
    public void What_a_guest_sends_itself_is_bounded_and_the_rest_is_counted()
    {
        Write(ModemControl, 0x10);
        for (int i = 0; i < 100_000; i++)
            Write(Data, (byte)i);
        Assert.Equal(100_000 - SerialPort.InputCapacity, _port.Lost);
        Assert.Equal((0x63, 0x61), (Read(LineStatus), Read(LineStatus)));
        Assert.Equal(0, _port.Receive([1]));
        for (int i = 0; i < SerialPort.InputCapacity; i++)
            Assert.Equal((byte)i, Read(Data));
        Assert.Equal(0x60, Read(LineStatus));
        byte[] sent = new byte[1];
        _queue.Close();
        Assert.Equal(0, _queue.Take(sent));
    }

    [Fact]
    public void Input_waits_until_a_driver_has_looked_what_the_port_can_do_and_has_opened_it()
    {
        int told = 0;
        _port.InputTaken = () => told += _port.IsListening ? 1 : 100;
        // As Linux looks for a port: all interrupts for a moment, then a loop.
        Write(InterruptEnable, 0x0f);
        Assert.False(_port.IsListening);
        Write(InterruptEnable, 0);
        Write(ModemControl, 0x1a);
        Write(InterruptEnable, 1);
        Assert.False(_port.IsListening);
        Write(ModemControl, 0x09);
        Assert.Equal((false, 0), (_port.IsListening, told));
        Write(ModemControl, 0x0b);
        Assert.Equal((true, 1), (_port.IsListening, told));
        Write(ModemControl, 0x0b);
        Write(InterruptEnable, 0);
        Assert.Equal((false, 1), (_port.IsListening, told));
        Write(InterruptEnable, 5);
        Assert.Equal((true, 2), (_port.IsListening, told));
    }

    [Fact]
    public void Nothing_interrupts_that_is_not_enabled()
    {
        _port.Receive([1]);
        Write(Data, 1);
        Assert.Equal(0, _edges);
        Write(InterruptEnable, 1);
        Assert.Equal(1, _edges);
    }

    [Fact]
    public void The_divisor_hides_data_and_interrupts()
    {
        Write(LineControl, 0x83);
        Write(Data, 12);
        Write(InterruptEnable, 34);
        Assert.Equal((12, 34), (Read(Data), Read(InterruptEnable)));
        Write(LineControl, 0x03);
        Assert.Equal((0, 0), (Read(Data), Read(InterruptEnable)));
        Assert.Equal((0x03, 0), (Read(LineControl), _edges));
    }

    [Fact]
    public void Drivers_find_a_16550A()
    {
        Write(Scratch, 0xa5);
        Write(Identity, 1);
        Assert.Equal((0xa5, 0xc1), (Read(Scratch), Read(Identity)));
        // Looped back, the outputs are the inputs: how drivers look whether there is a port at all.
        Write(ModemControl, 0x1a);
        Assert.Equal(0x90, Read(6) & 0xf0);
        Write(Data, 0x77);
        Assert.Equal(0x77, Read(Data));
        Write(ModemControl, 0x0b);
        Assert.Equal(0xb0, Read(6) & 0xf0);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public void Wider_accesses_read_ones_and_write_nothing(int length)
    {
        byte[] data = new byte[length];
        _port.Read(0, data);
        Assert.All(data, each => Assert.Equal(0xff, each));
        _port.Write(0, data);
        _queue.Close();
        Assert.Equal(0, _queue.Take(data));
    }

    [Fact]
    public void No_access_allocates()
    {
        byte[] data = new byte[1];
        void All()
        {
            for (byte register = 0; register < 8; register++)
            {
                _port.Write(register, data);
                _port.Read(register, data);
            }
        }
        All();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
            All();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }
}
