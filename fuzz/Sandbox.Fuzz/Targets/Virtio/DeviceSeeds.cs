using System.Buffers.Binary;

namespace Sandbox.Fuzz.Targets.Virtio;

/// <summary>Inputs for <see cref="DeviceTarget"/> to start from: what drivers of each device do, and hosts.</summary>
static class DeviceSeeds
{
    private const byte Request = 0, Raw = 1, Outside = 2, Notify = 3, Rest = 4, Configure = 5, Tell = 6;
    private const byte Move = 7, Wait = 8;

    private const byte Held = 1, Otherwise = 2;

    public static IEnumerable<(string Name, byte[] Input)> All()
    {
        yield return ("rng", Rng(0));
        yield return ("rng-held", Rng(Held));
        yield return ("block", Block(0, 0));
        yield return ("block-held", Block(Held, 0));
        yield return ("block-read-only", Block(Otherwise, 0));
        yield return ("block-without-flush", Block(0, 2));
        yield return ("vsock", Vsock(0));
        yield return ("vsock-clients", Clients());
        yield return ("vsock-end", VsockEnd());
        yield return ("vsock-forgotten", VsockForgotten());
        yield return ("console", Console(0, 0));
        yield return ("console-alone", Console(Otherwise, 2));
        yield return ("net", Net(0, 0));
        yield return ("net-held", Net(Held, 0));
        yield return ("net-one-buffer", Net(Otherwise, 0x80));
        yield return ("net-frames", Frames());
        yield return ("balloon", Balloon(0, 0));
        yield return ("balloon-without-statistics", Balloon(Otherwise, 2));
    }

    /// <summary>Records behind the head, which says which device, what is left out, and how it is granted.</summary>
    private sealed class Script(byte device, byte without, byte options)
    {
        private readonly List<byte> _bytes = [device, without, options, 1, 0, 0, 0, 0];

        public Script Add(byte operation, byte queue = 0, byte first = 0, byte second = 0, uint number = 0)
        {
            Span<byte> word = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(word, number);
            _bytes.AddRange([operation, queue, first, second, .. word]);
            return this;
        }

        public byte[] Bytes => [.. _bytes];
    }

    private static byte[] Rng(byte options)
    {
        Script script = new(0, 0, options);
        for (uint i = 0; i < 16; i++)
            script.Add(Request, first: 63, second: (byte)(5 * i), number: 0x7ff).Add(Wait, number: i);
        // Room in a table of its own, then none at all.
        return script.Add(Move).Add(Request, number: 0x7ff).Add(Rest).Add(Raw, number: 8).Add(Request, number: 9).Bytes;
    }

    private static byte[] Block(byte options, byte without)
    {
        Script script = new(1, without, options);
        foreach (byte type in (byte[])[0, 1, 4, 8, 11, 13, 2])
            for (uint i = 0; i < 3; i++)
                script.Add(Request, (byte)(i & 1), type, (byte)(5 * i), 0x2_7005 + (i << 8)).Add(Wait, number: 3);
        // Beyond the end; flags; ranges of nothing, and of too much.
        foreach (uint number in (uint[])[0x70ff, 0xc001_0005, 0x4001_0005, 0x8001_0005, 0x0000_0105, 0x000f_7f05])
            foreach (byte type in (byte[])[0, 1, 11, 13])
                script.Add(Request, 0, type, 0, number);
        // Lengths that are no sectors and no ranges, and heads that are too short.
        script.Add(Raw, 0, 0, 8, 0x11).Add(Raw, 0, 0, 1, 530).Add(Raw, 0, 0, 1, 17).Add(Rest);
        return script.Add(Move).Add(Request, 0, 0, 0, 0x1000).Add(Raw, 0, 0, 1, 3).Add(Request, 0, 4).Bytes;
    }

    private const byte Connect = 1, Accept = 2, Reset = 3, Shutdown = 4, Data = 5, Credit = 6, AskCredit = 7;

    /// <summary>A packet of the guest's: ports 0 to 3 of it, 0 to 7 of the host, and up to 1023 bytes.</summary>
    private static uint Packet(uint guest, uint host, uint length = 0, uint flags = 0) =>
        guest | host << 2 | length << 8 | flags << 20 | 0x3ffu << 22;

    private static byte[] Vsock(byte options)
    {
        Script script = new(2, 0, options);
        for (int i = 0; i < 8; i++)
            script.Add(Request, 0, 40, 0, 0x7ff);
        script.Add(Request, 2, 60);
        for (uint host = 0; host < 4; host++)
            script.Add(Request, 1, Connect, 0, Packet(0, host));
        for (int i = 0; i < 4; i++)
            script.Add(Request, 1, Data, (byte)i, Packet(0, 0, 500))
                .Add(Outside, 0, number: (0x1_0000 * (uint)i) + 0x300);
        foreach (byte operation in (byte[])[Credit, AskCredit, Data, 8, Connect, Accept])
            script.Add(Request, 1, operation, 0, Packet(0, 1)).Add(Request, 0, 40, 0, 0x7ff);
        script.Add(Request, 1, Connect, 0, Packet(1, 0)).Add(Request, 1, Shutdown, 0, Packet(1, 0, 0, 2))
            .Add(Request, 1, Shutdown, 0, Packet(1, 0, 0, 1)).Add(Request, 1, Connect, 0, Packet(2, 0))
            .Add(Outside, 3, number: 0x8000_0004).Add(Outside, 3, number: 0x8000_0001).Add(Rest);
        // What the host was asked for is taken, refused, or not wanted any more.
        script.Add(Tell, number: 1).Add(Request, 1, Connect, 0, Packet(1, 2)).Add(Tell, number: 0)
            .Add(Request, 1, Connect, 0, Packet(2, 2)).Add(Request, 1, Reset, 0, Packet(2, 2)).Add(Tell, number: 1);
        // The host opens two, of which the guest takes one.
        script.Add(Tell, number: 1).Add(Tell, number: 2);
        for (int i = 0; i < 6; i++)
            script.Add(Request, 0, 40, 0, 0x7ff);
        script.Add(Request, 1, Accept, 0, Packet(1, 4)).Add(Request, 1, Reset, 0, Packet(1, 4)).Add(Raw, 1, 0, 0, 100);
        script.Add(Move).Add(Request, 0, 40, 0, 0x7ff).Add(Notify, 2).Add(Request, 1, Connect, 0, Packet(1, 0));
        return script.Add(Raw, 1, 0, 0, 20).Add(Request, 1, Connect).Add(Request, 0, 1).Bytes;
    }

    private static byte[] Clients()
    {
        Script script = new(2, 0, 0);
        for (uint kind = 0; kind < 8; kind++)
            script.Add(Tell, number: 8 | kind << 4);
        for (int i = 0; i < 6; i++)
            script.Add(Request, 0, 40, 0, 0x7ff);
        script.Add(Outside, 0, number: 0x2_0a00).Add(Rest).Add(Tell, number: 0xc8).Add(Wait, number: 3);
        for (uint host = 4; host < 8; host++)
            script.Add(Request, 1, Accept, 0, Packet(2, host)).Add(Request, 1, Data, 0, Packet(2, host, 20));
        for (int i = 0; i < 4; i++)
            script.Add(Request, 0, 40, 0, 0x7ff);
        return script.Add(Move).Add(Tell, number: 0x48).Add(Request, 0, 40, 0, 0x7ff).Add(Rest).Bytes;
    }

    /// <summary>The guest ends with bytes on their way to a host that does not read.</summary>
    private static byte[] VsockEnd()
    {
        Script script = new(2, 0, Otherwise);
        script.Add(Request, 1, Connect, 0, Packet(0, 0)).Add(Request, 0, 40, 0, 0x7ff);
        for (int i = 0; i < 24; i++)
            script.Add(Request, 1, Data, 0, Packet(0, 0, 1000));
        for (int i = 0; i < 8; i++)
            script.Add(Outside, 2).Add(Rest);
        script.Add(Tell, number: uint.MaxValue).Add(Outside, 2).Add(Wait, number: 1);
        return script.Add(Request, 1, Data, 0, Packet(0, 0, 10)).Bytes;
    }

    /// <summary>
    /// The guest forgets a connection whose host has not read everything, and ends while clients wait for it: one that
    /// has not said what it wants, and one that was told to the guest.
    /// </summary>
    private static byte[] VsockForgotten()
    {
        Script script = new(2, 0, 0);
        script.Add(Request, 1, Connect, 0, Packet(0, 0)).Add(Request, 0, 40, 0, 0x7ff);
        for (int i = 0; i < 24; i++)
            script.Add(Request, 1, Data, 0, Packet(0, 0, 1000));
        script.Add(Request, 1, Shutdown, 0, Packet(0, 0, 0, 3)).Add(Request, 1, Reset, 0, Packet(0, 0))
            .Add(Request, 1, Connect, 0, Packet(0, 0)).Add(Request, 0, 40, 0, 0x7ff);
        for (int i = 0; i < 8; i++)
            script.Add(Outside, 2).Add(Rest);
        script.Add(Tell, number: 0x38).Add(Tell, number: 1).Add(Rest).Add(Request, 0, 40, 0, 0x7ff);
        return script.Add(Tell, number: uint.MaxValue).Add(Wait, number: 1).Bytes;
    }

    private static byte[] Console(byte options, byte without)
    {
        const byte ready = 0, portReady = 3, open = 6;
        Script script = new(3, without, options);
        for (int i = 0; i < 12; i++)
            script.Add(Request, 2, 63);
        script.Add(Request, 3, ready, 0, 0x100).Add(Request, 3, portReady, 0, 0x100)
            .Add(Request, 3, portReady, 0, 0x101).Add(Request, 3, open, 0, 0x100)
            .Add(Request, 3, open, 0, 0x101).Add(Request, 3, open, 0, 0x103)
            .Add(Request, 3, 7, 0, 0x100).Add(Tell, number: 0x0019_0050);
        foreach (byte queue in (byte[])[0, 4])
            script.Add(Request, queue, 63, 1, 100).Add(Outside, 0, number: 0x300).Add(Outside, 0, number: 0x301)
                .Add(Request, queue, 63, 1, 100).Add(Request, (byte)(queue + 1), 0, 2, 0x200_0000).Add(Outside, 2);
        for (int i = 0; i < 4; i++)
            script.Add(Request, 1, 0, (byte)i, 0x3ff_0000).Add(Rest);
        script.Add(Configure, 0, 2, 0, 7).Add(Move).Add(Request, 3, open, 0, 0).Add(Outside, 3, number: 0x8000_0000);
        script.Add(Request, 0, 63, 0, 100).Add(Request, 1, 0, 0, 0x20_0000).Add(Request, 2, 63).Add(Request, 2, 63);
        return script.Add(Raw, 3, 0, 0, 4).Add(Request, 0, 63, 0, 100).Add(Raw, 0, 0, 0, 4).Add(Outside, 0, 0, 0, 0x300)
            .Add(Raw, 2, 0, 0, 4).Add(Tell, number: 5).Add(Tell, number: uint.MaxValue).Bytes;
    }

    private static byte[] Net(byte options, byte without)
    {
        Script script = new(4, without, options);
        script.Add(Request, 4, 0, 0, 2).Add(Request, 4, 0, 0, 3).Add(Request, 4, 0, 0, 0);
        for (byte i = 0; i < 8; i++)
            script.Add(Request, (byte)(i & 2), 63, (byte)(i & 1), 0x7ff);
        // With headers of all kinds, in bits from 20 on; then longer than there is room for, and than the MTU.
        foreach (uint header in (uint[])[0, 1, 2, 0x105, 0x111, 0x305, 0x10c])
            script.Add(Outside, 0, number: header << 20 | 0x200).Add(Outside, 1, number: header << 20 | 0x301)
                .Add(Request, 0, 63, 0, 0x7ff).Add(Request, 2, 63, 0, 0x7ff);
        script.Add(Outside, 0, number: 0xf_ff00).Add(Outside, 0, number: 0x8_0000).Add(Wait, number: 3);
        for (int i = 0; i < 6; i++)
            script.Add(Request, 0, 1, 0, 12).Add(Outside, 0, number: 0x5_0000).Add(Wait, number: 3);
        for (uint i = 0; i < 6; i++)
            script.Add(Request, 1, (byte)i, (byte)i, 0x100_0000 * i + 300).Add(Wait, number: 3);
        script.Add(Raw, 1, 0, 0, 20).Add(Raw, 4, 0, 1, 1).Add(Raw, 4, 0, 0, 4).Add(Rest);
        script.Add(Move).Add(Request, 0, 63, 0, 0x7ff).Add(Outside, 0, number: 0x200);
        return script.Add(Outside, 3, number: 0x8000_0000).Add(Outside, 3, number: 0x8000_0002)
            .Add(Request, 1, 0, 0, 60).Add(Request, 0, 1, 0, 4).Add(Outside, 0, number: 0x203).Bytes;
    }

    /// <summary>All kinds of packets that a guest could be somebody else with.</summary>
    private static byte[] Frames()
    {
        Script script = new(4, 0, 0);
        foreach (byte kind in (byte[])[0, 3 << 2, 1 << 2, 1 << 2 | 0x10])
            script.Add(Request, 1, kind, 0, 100).Add(Request, 1, kind, 0, 4);
        for (uint next = 0; next < 8; next++)
            foreach (uint message in (uint[])[0, 1, 2, 3, 4, 10])
                script.Add(Request, 1, (byte)(2 << 2 | next << 4), 0, message << 16 | 100);
        script.Add(Request, 1, 2 << 2 | 3 << 4 | 0x80, 0, 2 << 16 | 100).Add(Request, 1, 2 << 2, 0, 10);
        return script.Add(Request, 1, 2 << 2, 0, 41).Add(Request, 1, 2 << 2 | 3 << 4, 0, 40)
            .Add(Raw, 1, 20, 0, 200).Bytes;
    }

    private static byte[] Balloon(byte options, byte without)
    {
        Script script = new(5, without, options);
        for (byte i = 0; i < 9; i++)
            script.Add(Request, 0, i, (byte)(i & 3), 0x55 * (uint)i).Add(Request, 1, i, 0, i);
        script.Add(Request, 2, 4, 0, 1000).Add(Tell, number: 0x10).Add(Request, 2, 99, 0, 1000)
            .Add(Tell, number: 0x1001).Add(Request, 3, 0, 1, 5).Add(Request, 2, 0, 1, 5).Add(Raw, 0, 0, 0, 40)
            .Add(Raw, 0, 1, 0, uint.MaxValue)
            .Add(Configure, 0, 1, 0, 5).Add(Configure, 0, 2, 0, 5).Add(Rest).Add(Move).Add(Tell, number: 7);
        return script.Add(Request, 2, 1).Add(Request, 2, 1).Add(Request, 2, 1).Add(Request, 0, 4, 0, 3).Bytes;
    }
}
