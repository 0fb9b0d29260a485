using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Devices.Balloon;
using Sandbox.Vmm.Devices.Block;
using Sandbox.Vmm.Devices.Console;
using Sandbox.Vmm.Devices.Net;
using Sandbox.Vmm.Devices.Rng;
using Sandbox.Vmm.Devices.Vsock;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Fuzz.Targets.Virtio;

/// <summary>One device with what it has of the host, and how its requests look.</summary>
sealed unsafe class DeviceUnderTest : IDisposable, IVsockHost
{
    public const int Kinds = 7;

    private const ulong Cid = 3;
    private const int Limit = 64;

    /// <summary>Of one input: each makes a new device.</summary>
    private const int MoveLimit = 4;

    private readonly List<FileDescriptor> _hosts = [];
    private readonly Queue<ulong> _asked = new();
    private readonly TestRam _ram;
    private readonly int _kind;
    private readonly bool _isOther;
    private readonly RateLimit _limit;
    private sockaddr_un _listening;
    private uint _listeningBytes;
    private int _moves;

    /// <param name="options">Bit 0: with rates that are held; bit 1: granted otherwise.</param>
    public DeviceUnderTest(TestRam ram, byte kind, byte options)
    {
        _ram = ram;
        _kind = kind % Kinds;
        _limit = (options & 1) == 0 ? RateLimit.None : new RateLimit(200_000, 2000);
        _isOther = (options & 2) != 0;
        Driver = new TestDriver(Make(ram.Ram), ram);
    }

    public static string[] Names { get; } = ["rng", "block", "vsock", "console", "net", "balloon", "block-ring"];

    public TestDriver Driver { get; private set; }

    /// <summary>Features that may be left out; the bits of the transport may, too.</summary>
    public ulong Optional => 0x3fff_ffffUL;

    /// <summary>Pages in a balloon are wiped wherever they are.</summary>
    public bool MayWriteAnywhere => _kind == 5;

    public bool HasFault => Enum.GetValues<QueueFault>().Any(fault => Driver.Device.Metrics.Count(fault) > 0);

    VsockReply IVsockHost.Connect(uint port, ulong number, out FileDescriptor? file)
    {
        file = null;
        if (port % 4 == 3 || _hosts.Count > Limit)
            return VsockReply.Refused;
        if (port % 4 == 2)
        {
            _asked.Enqueue(number);
            return VsockReply.Later;
        }
        file = Pair(Libc.SOCK_STREAM);
        return VsockReply.Connected;
    }

    /// <summary>Writes a request into a place: bytes of it, and how much room its answer wants.</summary>
    public int Compose(Span<byte> place, int queue, byte kind, uint number, out uint room)
    {
        place[..256].Clear();
        switch (_kind)
        {
            case 1 or 6:
                virtio_blk_outhdr head = new() { type = kind % 16u, sector = number & 0xff };
                MemoryMarshal.Write(place, head);
                MemoryMarshal.Write(place[16..], new virtio_blk_discard_write_zeroes
                {
                    sector = number >> 8 & 0xff, num_sectors = number >> 16 & 0xf, flags = number >> 30,
                });
                bool isWrite = head.type is 1 or 11 or 13;
                room = 1 + (isWrite ? 0 : 512 * (number >> 12 & 7));
                return 16 + (head.type == 1 ? 512 * (int)(number >> 12 & 7) : isWrite ? 16 : 0);
            case 2 when queue == 1:
                // Ports of services, or those that the device gives to connections of the host.
                uint host = number >> 2 & 7;
                virtio_vsock_hdr packet = new()
                {
                    src_cid = Cid, dst_cid = 2, src_port = number & 3,
                    dst_port = host < 4 ? host : (1 << 30) + host - 3,
                    len = number >> 8 & 0x3ff, type = 1, op = (ushort)(kind % 9), flags = number >> 20 & 3,
                    buf_alloc = number >> 22, fwd_cnt = kind / 9u,
                };
                MemoryMarshal.Write(place, packet);
                room = 0;
                return 44 + (int)packet.len;
            case 3 when queue == 3:
                MemoryMarshal.Write(place, new virtio_console_control
                {
                    id = number & 3, @event = (ushort)(kind % 8), value = (ushort)(number >> 8 & 1),
                });
                room = 0;
                return 8;
            case 4 when queue == 4:
                place[0] = 4;
                BinaryPrimitives.WriteUInt16LittleEndian(place[2..], (ushort)(number & 3));
                room = 1;
                return 4;
            case 4 when queue % 2 == 1:
                ComposeFrame(place, kind, number);
                room = 0;
                return 12 + 14 + (int)(number & 0xfff);
            case 5 when queue < 2:
                for (int i = 0; i < 8; i++)
                    BinaryPrimitives.WriteUInt32LittleEndian(
                        place[(4 * i)..], (uint)(TestRam.LowStart >> 12) + 64 + (number >> i & 31) + (uint)i);
                room = 0;
                return 4 * (kind % 9);
            case 5 when queue == 2:
                MemoryMarshal.Write(place, new virtio_balloon_stat { tag = kind, val = number });
                room = 0;
                return 10;
            case 5 when queue == 3:
                room = 0x3000 + (number & 0xfff);
                return 0;
            default:
                room = (number & 0x7ff) + (kind & 63u);
                return _kind == 0 || queue % 2 == 0 ? 0 : (int)(number >> 16 & 0x3ff);
        }
    }

    /// <summary>The other side of sockets writes, reads, or goes.</summary>
    public void HappenOutside(byte what, uint number)
    {
        if (_hosts.Count == 0)
            return;
        FileDescriptor host = _hosts[(int)(number % (uint)_hosts.Count)];
        if (host.IsClosed)
            return;
        Span<byte> bytes = stackalloc byte[4096];
        bytes.Fill((byte)number);
        int length = (int)(number >> 8 & 0xfff);
        switch (what % 4)
        {
            case 0 or 1 when _kind == 4:
                MemoryMarshal.Write(bytes, new virtio_net_hdr_v1
                {
                    flags = (byte)(number >> 20 & 3), gso_type = (byte)(number >> 22 & 7 | number >> 18 & 0x80),
                    gso_size = (ushort)(number >> 26),
                });
                host.Write(bytes[..Math.Max(length, 16)]);
                break;
            case 0 or 1:
                host.Write(bytes[..length]);
                break;
            case 2:
                host.Read(bytes);
                break;
            case 3 when (number & 0x8000_0000) != 0:
                host.Dispose();
                break;
        }
    }

    /// <summary>The machine tells the device something.</summary>
    public void Tell(uint number)
    {
        switch (Driver.Device)
        {
            case ConsoleDevice console when number == uint.MaxValue:
                console.EndGuest();
                break;
            case ConsoleDevice console:
                console.Resize((ushort)number, (ushort)(number >> 16));
                break;
            case BalloonDevice balloon:
                balloon.SetTarget((ulong)number << 8);
                if ((number & 1) == 0)
                    balloon.RequestStatistics();
                else
                    balloon.RefreshStatistics(milliseconds: 0);
                BalloonRecord known = default;
                balloon.Write(ref known);
                break;
            case VsockDevice vsock when number == uint.MaxValue:
                vsock.EndGuest();
                break;
            case VsockDevice vsock when _asked.Count > 0:
                vsock.Answer(_asked.Dequeue(), (number & 1) == 0 ? null : Pair(Libc.SOCK_STREAM));
                break;
            case VsockDevice when _hosts.Count < Limit && _listeningBytes > 0:
                Dial(number);
                break;
        }
    }

    /// <summary>The device goes on in another one, which refuses what it cannot be.</summary>
    public void Move()
    {
        if (_moves++ >= MoveLimit)
            return;
        Driver.Transport.Pause();
        Driver.Run();
        TransportState transport = Driver.Transport.Save();
        TestDriver other = new(Make(_ram.Ram), _ram, Driver.Queues);
        other.Transport.Pause();
        OracleException.Check(other.Transport.TryRestore(transport), "a transport that was is refused");
        bool isRestored = (Driver.Device, other.Device) switch
        {
            (BlockDevice from, BlockDevice to) => to.Matches(from.Save()) && !to.Matches(new BlockState(1, true)),
            (NetDevice from, NetDevice to) => !to.TryRestore(new NetState(9)) && to.TryRestore(from.Save()),
            (VsockDevice from, VsockDevice to) =>
                !to.TryRestore(new VsockState(Cid + 1)) && to.TryRestore(from.Save()),
            (ConsoleDevice from, ConsoleDevice to) =>
                !to.TryRestore(new ConsoleState([])) && to.TryRestore(from.Save()),
            (BalloonDevice from, BalloonDevice to) =>
                !to.TryRestore(from.Save() with { TargetPages = uint.MaxValue })
                && !to.TryRestore(from.Save() with { HoldsStatistics = true, StatisticsHead = 0x8000 })
                && to.TryRestore(from.Save()),
            _ => true,
        };
        OracleException.Check(isRestored, "a device that was is refused, or one that was not is taken");
        Driver.Dispose();
        Driver = other;
        other.Transport.Resume();
    }

    /// <summary>What the device counts fits into its record.</summary>
    public void CheckCounts()
    {
        DeviceRecord record = default;
        Driver.Device.Metrics.Write(ref record, s_kinds[_kind]);
        OracleException.Check(record.QueueCount == (ulong)Driver.Device.Queues.Count, "another number of queues");
        ulong faults = 0;
        foreach (ulong count in record.QueueFaults)
            faults += count;
        OracleException.Check(faults > 0 == HasFault, "faults that are not told");
    }

    private static readonly VirtioKind[] s_kinds =
    [
        VirtioKind.Rng, VirtioKind.Block, VirtioKind.Vsock, VirtioKind.Console, VirtioKind.Net, VirtioKind.Balloon,
        VirtioKind.Block,
    ];

    /// <summary>Waits for what the host still works on.</summary>
    public void Settle()
    {
        if (_kind != 6)
            return;
        Driver.Transport.Pause();
        Driver.Transport.Resume();
        Driver.Run();
    }

    private static void ComposeFrame(Span<byte> place, byte kind, uint number)
    {
        const int ethernet = 12, packet = ethernet + 14;
        place[0] = (byte)(kind & 3);
        place[1] = (byte)(number >> 24);
        ReadOnlySpan<byte> mac = [2, 0, 0, 0, 0, 1];
        ReadOnlySpan<byte> four = [10, 0, 0, 2];
        mac.CopyTo(place[(ethernet + 6)..]);
        ushort type = (kind >> 2 & 3) switch { 0 => 0x0800, 1 => 0x0806, 2 => 0x86dd, _ => (ushort)number };
        BinaryPrimitives.WriteUInt16BigEndian(place[(ethernet + 12)..], type);
        switch (type)
        {
            case 0x0806:
                ReadOnlySpan<byte> head = [0, 1, 8, 0, 6, 4, 0, 1];
                head.CopyTo(place[packet..]);
                mac.CopyTo(place[(packet + 8)..]);
                if ((kind & 0x10) == 0)
                    four.CopyTo(place[(packet + 14)..]);
                break;
            case 0x86dd:
                byte next = (kind >> 4 & 7) switch { 0 => 0, 1 => 6, 2 => 44, 3 or 4 or 5 => 58, _ => 17 };
                place[packet + 6] = next;
                if ((kind & 0x80) == 0)
                    (place[packet + 8], place[packet + 9], place[packet + 23]) = (0xfe, 0x80, 1);
                // A packet of discovery, or one of these behind a head of options.
                place[packet + 40] = next == 0 ? (byte)58 : next == 44 ? (byte)6 : (byte)(133 + (number >> 16 & 15));
                place[packet + 48] = (byte)(133 + (number >> 16 & 15));
                place.Slice(packet + 8, 16).CopyTo(place[(packet + 48)..]);
                break;
            default:
                four.CopyTo(place[(packet + 12)..]);
                place[packet + 6] = (byte)(number >> 16);
                break;
        }
    }

    private VirtioDevice Make(GuestRam ram) => _kind switch
    {
        0 => new RngDevice(ram, _limit),
        1 => Disk(ram, hasRings: false),
        2 => new VsockDevice(ram, Cid, this, _isOther ? null : Listen()),
        3 => _isOther
            ? new ConsoleDevice(ram, Port("console", true), new ConsolePort { Name = "nowhere" })
            : new ConsoleDevice(ram, Port("console", true), Port("agent", false)),
        4 => new NetDevice(ram, new NetOptions
        {
            Links = _isOther ? [Link()] : [Link(), Link()],
            Mac = [2, 0, 0, 0, 0, 1],
            Addresses = _isOther ? [] : [new IPAddress([10, 0, 0, 2]), IPAddress.Parse("fe80::1")],
            SendLimit = _limit,
            ReceiveLimit = _limit,
        }),
        5 => new BalloonDevice(ram, deflatesOnOom: !_isOther),
        _ => Disk(ram, hasRings: true),
    };

    private PacketLink Link() => new(Pair(Libc.SOCK_SEQPACKET));

    /// <summary>At an address that the kernel chooses.</summary>
    private FileDescriptor Listen()
    {
        FileDescriptor socket = Socket();
        sockaddr_un address = new() { sun_family = Libc.AF_UNIX };
        uint length = (uint)sizeof(sockaddr_un);
        if (Libc.bind(socket.Value, &address, sizeof(ushort)) != 0 || Libc.listen(socket.Value, Limit) != 0
            || Libc.getsockname(socket.Value, &address, &length) != 0)
            throw HostException.Last("bind");
        (_listening, _listeningBytes) = (address, length);
        return socket;
    }

    /// <summary>A client that says which port it wants, or nonsense.</summary>
    private void Dial(uint number)
    {
        FileDescriptor socket = Socket();
        _hosts.Add(socket);
        sockaddr_un address = _listening;
        if (Libc.connect(socket.Value, &address, _listeningBytes) != 0)
            return;
        socket.Write((number & 8) == 0 ? Encoding.ASCII.GetBytes($"CONNECT {number & 3}\n") : (number >> 4 & 7) switch
        {
            0 => "CONNECT 5"u8,
            1 => "CONNECT \n"u8,
            2 => "CONNECT 5                                      \n"u8,
            3 => default,
            _ => "CONNECT 2\nand more"u8,
        });
        if ((number & 0x80) != 0)
            socket.Dispose();
    }

    private static FileDescriptor Socket() =>
        new(Libc.socket(Libc.AF_UNIX, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0));

    /// <summary>On a host without io_uring, a disk with rings is one without.</summary>
    private BlockDevice Disk(GuestRam ram, bool hasRings)
    {
        int queues = _isOther ? 1 : 2;
        FileDescriptor file = FileDescriptor.CreateMemory("disk", 128 * 512);
        List<BlockRing> rings = [];
        while (hasRings && rings.Count < queues && BlockRing.TryCreate(file) is { } ring)
            rings.Add(ring);
        return new BlockDevice(ram, new BlockOptions
        {
            File = file, Queues = queues, IsReadOnly = _isOther, Limit = _limit, Rings = rings,
        });
    }

    private ConsolePort Port(string name, bool isConsole)
    {
        FileDescriptor end = Pair(Libc.SOCK_STREAM);
        return new ConsolePort { Name = name, IsConsole = isConsole, Input = end, Output = end.Duplicate() };
    }

    private FileDescriptor Pair(int type)
    {
        int* ends = stackalloc int[2];
        if (Libc.socketpair(Libc.AF_UNIX, type | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0, ends) != 0)
            throw HostException.Last("socketpair");
        _hosts.Add(new FileDescriptor(ends[0]));
        // The least there is, so that a host which does not read is soon full.
        int least = 1;
        if (type == Libc.SOCK_STREAM
            && Libc.setsockopt(ends[1], Libc.SOL_SOCKET, Libc.SO_SNDBUF, &least, sizeof(int)) != 0)
            throw HostException.Last("setsockopt");
        return new FileDescriptor(ends[1]);
    }

    public void Dispose()
    {
        Driver.Dispose();
        foreach (FileDescriptor host in _hosts)
            host.Dispose();
    }
}
