using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;
using Sandbox.Host;
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

    private readonly List<FileDescriptor> _hosts = [];
    private readonly int _kind;

    public DeviceUnderTest(TestRam ram, byte kind)
    {
        _kind = kind % Kinds;
        Driver = new TestDriver(Make(ram.Ram), ram);
    }

    public static string[] Names { get; } = ["rng", "block", "vsock", "console", "net", "balloon", "block-ring"];

    public TestDriver Driver { get; }

    /// <summary>Features that may be left out; the bits of the transport may, too.</summary>
    public ulong Optional => 0x3fff_ffffUL;

    /// <summary>Pages in a balloon are wiped wherever they are.</summary>
    public bool MayWriteAnywhere => _kind == 5;

    public bool HasFault => Enum.GetValues<QueueFault>().Any(fault => Driver.Device.Metrics.Count(fault) > 0);

    FileDescriptor? IVsockHost.Connect(uint port) =>
        port % 4 == 3 || _hosts.Count > Limit ? null : Pair(Libc.SOCK_STREAM);

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
                virtio_vsock_hdr packet = new()
                {
                    src_cid = Cid, dst_cid = 2, src_port = number & 3, dst_port = number >> 2 & 7,
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
            case ConsoleDevice console:
                console.Resize((ushort)number, (ushort)(number >> 16));
                break;
            case BalloonDevice balloon:
                balloon.SetTarget((ulong)number << 8);
                balloon.RequestStatistics();
                break;
            case VsockDevice vsock when _hosts.Count < Limit:
                FileDescriptor end = Pair(Libc.SOCK_STREAM);
                if (!vsock.TryAdopt(end, number & 3))
                    end.Dispose();
                break;
        }
    }

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
        place[0] = (byte)(kind & 3);
        place[1] = (byte)(number >> 24);
        ReadOnlySpan<byte> mac = [2, 0, 0, 0, 0, 1];
        mac.CopyTo(place[(12 + 6)..]);
        ushort type = (kind >> 2 & 3) switch { 0 => 0x0800, 1 => 0x0806, 2 => 0x86dd, _ => (ushort)number };
        BinaryPrimitives.WriteUInt16BigEndian(place[(12 + 12)..], type);
        ReadOnlySpan<byte> address = [10, 0, 0, 2];
        address.CopyTo(place[(12 + 14 + 12)..]);
        place[12 + 14 + 6] = (byte)(number >> 16);
    }

    private VirtioDevice Make(GuestRam ram) => _kind switch
    {
        0 => new RngDevice(ram, RateLimit.None),
        1 => Disk(ram, hasRings: false),
        2 => new VsockDevice(ram, Cid, this, null),
        3 => new ConsoleDevice(ram, Port("console", true), Port("agent", false)),
        4 => new NetDevice(ram, new NetOptions
        {
            Links = [new PacketLink(Pair(Libc.SOCK_SEQPACKET)), new PacketLink(Pair(Libc.SOCK_SEQPACKET))],
            Mac = [2, 0, 0, 0, 0, 1],
            Addresses = [new IPAddress([10, 0, 0, 2]), IPAddress.Parse("fe80::1")],
        }),
        5 => new BalloonDevice(ram, deflatesOnOom: true),
        _ => Disk(ram, hasRings: true),
    };

    /// <summary>On a host without io_uring, a disk with rings is one without.</summary>
    private static BlockDevice Disk(GuestRam ram, bool hasRings)
    {
        const int Queues = 2;
        FileDescriptor file = FileDescriptor.CreateMemory("disk", 128 * 512);
        List<BlockRing> rings = [];
        while (hasRings && rings.Count < Queues && BlockRing.TryCreate(file) is { } ring)
            rings.Add(ring);
        return new BlockDevice(ram, new BlockOptions { File = file, Queues = Queues, Rings = rings });
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
        return new FileDescriptor(ends[1]);
    }

    public void Dispose()
    {
        Driver.Dispose();
        foreach (FileDescriptor host in _hosts)
            host.Dispose();
    }
}
