using Sandbox.Vmm.Devices;
using Sandbox.Vmm.Devices.Power;
using Sandbox.Vmm.Devices.Serial;
using Sandbox.Vmm.Machine;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// Sequences of accesses to the serial port and the power registers, on their bus, with input and a reader in between.
/// The oracle is a model of the bytes: what is sent while there is room arrives, in order, and nothing else does.
/// </summary>
/// <remarks>Input: records of 4: operation, register, length or count, value.</remarks>
sealed class SerialTarget : FuzzTarget, IInterruptLine
{
    private const ulong Port = MachineLayout.SerialPort;
    private const int LineControl = 3, ModemControl = 4;

    private readonly MachineRam _ram = new(MachineLayout.MinimumRam, null);
    private readonly byte[] _buffer = new byte[256];

    public override string Name => "serial";

    public override string Summary => "register sequences of the serial port and the power registers";

    public override int MaximumLength => 16 * 1024;

    public override int RecordLength => 4;

    // The port's queue, and the model's.
    public override long AllocationLimit => 512 << 10;

    void IInterruptLine.Raise()
    {
    }

    public override bool Run(ReadOnlySpan<byte> input)
    {
        OutputQueue queue = new();
        SerialPort port = new(this, queue);
        queue.Ready = port.OutputReady;
        DeviceBus bus = new();
        bus.Add(Port, SerialPort.Length, port);
        bus.Add(MachineLayout.PowerPort, PowerRegisters.Length, new PowerRegisters(_ram.Memory, static _ => { }));
        Queue<byte> sent = new();
        byte lineControl = 0, modemControl = 0;
        long lost = 0;
        for (; input.Length >= RecordLength; input = input[RecordLength..])
        {
            int register = input[1] % 8, length = 1 << (input[2] % 4);
            switch (input[0] % 6)
            {
                case 0 or 1:
                    _buffer.AsSpan(0, length).Fill(input[3]);
                    long before = port.Lost;
                    bus.Write(Port + (ulong)register, _buffer.AsSpan(0, length));
                    if (length != 1)
                        break;
                    bool isData = register == 0 && (lineControl & 0x80) == 0;
                    if (isData && (modemControl & 0x10) != 0)
                    {
                        // To itself: the one byte, if its input is full.
                        OracleException.Check(port.Lost - before is 0 or 1, "more is lost than was sent");
                        lost += port.Lost - before;
                    }
                    else if (isData)
                    {
                        if (sent.Count < OutputQueue.Capacity)
                            sent.Enqueue(input[3]);
                        else
                            lost++;
                    }
                    lineControl = register == LineControl ? input[3] : lineControl;
                    modemControl = register == ModemControl ? input[3] : modemControl;
                    break;
                case 2:
                    bus.Read(Port + (ulong)register, _buffer.AsSpan(0, length));
                    break;
                case 3:
                    int taken = port.Receive(_buffer.AsSpan(0, input[2]));
                    OracleException.Check(taken >= 0 && taken <= input[2], "more was received than came");
                    break;
                case 4 when sent.Count > 0:
                    int count = queue.Take(_buffer);
                    OracleException.Check(count == Math.Min(sent.Count, _buffer.Length), "not all that was sent arrives");
                    for (int i = 0; i < count; i++)
                        OracleException.Check(_buffer[i] == sent.Dequeue(), "another byte arrives than was sent");
                    break;
                case 5:
                    bus.Write(MachineLayout.PowerPort + (ulong)(register % 4), input.Slice(3, 1));
                    break;
            }
        }
        queue.Close();
        while (queue.Take(_buffer) is > 0 and int left)
            for (int i = 0; i < left; i++)
                OracleException.Check(sent.TryDequeue(out byte last) && _buffer[i] == last, "another byte is left than was sent");
        OracleException.Check(sent.Count == 0, "what was sent does not arrive in the end");
        OracleException.Check(port.Lost == lost, "bytes are lost that were not counted, or counted that were not lost");
        return true;
    }

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        yield return ("driver", [0, 1, 0, 3, 0, 3, 0, 0x83, 0, 0, 0, 1, 0, 3, 0, 3, 0, 4, 0, 0x0b, 0, 0, 0, 65, 2, 5, 0, 0, 2, 2, 0, 0, 4, 0, 0, 0]);
        yield return ("input", [0, 1, 0, 1, 3, 0, 255, 0, 3, 0, 255, 0, 2, 2, 0, 0, 2, 0, 0, 0, 2, 5, 0, 0]);
        yield return ("loop", [0, 4, 0, 0x10, 0, 0, 0, 66, 2, 0, 0, 0, 2, 6, 0, 0, 5, 0, 0, 0x34, 5, 2, 0, 1]);
    }
}
