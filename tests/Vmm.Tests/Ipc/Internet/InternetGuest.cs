using System.Buffers.Binary;
using System.Net;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

/// <summary>A guest with a network, whose calls take addresses as text.</summary>
sealed class InternetGuest : IDisposable
{
    public const ulong Data = DirectGuest.Data;

    /// <summary>Where addresses go to, and where they come back with their length before them.</summary>
    private const ulong Address = Data + 0x8000, Length = Data + 0x8100, Returned = Data + 0x8200;

    public InternetGuest() => Guest = new DirectGuest(Broker.Vmm);

    public TestBroker Broker { get; } = new();

    public DirectGuest Guest { get; }

    public void Dispose()
    {
        Guest.Dispose();
        Broker.Dispose();
    }

    public long Call(int number, ulong a0 = 0, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0, ulong a4 = 0, ulong a5 = 0) =>
        Guest.Call(number, a0, a1, a2, a3, a4, a5);

    public ulong Socket(int type, int family = AF_INET)
    {
        long result = Call(SYS_socket, (ulong)family, (ulong)type);
        Assert.True(result >= 0, $"socket answers {result}");
        return (ulong)result;
    }

    /// <summary>Puts an address into the guest's memory.</summary>
    public (ulong Pointer, ulong Length) Put(string endpoint)
    {
        IPEndPoint parsed = IPEndPoint.Parse(endpoint);
        byte[] address = parsed.Address.GetAddressBytes();
        byte[] bytes = new byte[address.Length == 4 ? 16 : 28];
        BitConverter.TryWriteBytes(bytes, (ushort)(address.Length == 4 ? AF_INET : AF_INET6));
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(2), (ushort)parsed.Port);
        address.CopyTo(bytes, address.Length == 4 ? 4 : 8);
        Guest.Write(Address, bytes);
        return (Address, (ulong)bytes.Length);
    }

    public long Connect(ulong socket, string endpoint)
    {
        (ulong pointer, ulong length) = Put(endpoint);
        return Call(SYS_connect, socket, pointer, length);
    }

    public PendingCall ConnectAside(ulong socket, string endpoint)
    {
        (ulong pointer, ulong length) = Put(endpoint);
        return Guest.CallAside(SYS_connect, socket, pointer, length);
    }

    public long Bind(ulong socket, string endpoint)
    {
        (ulong pointer, ulong length) = Put(endpoint);
        return Call(SYS_bind, socket, pointer, length);
    }

    public long Send(ulong socket, string text, int flags = 0)
    {
        Guest.Write(Data, System.Text.Encoding.ASCII.GetBytes(text));
        return Call(SYS_sendto, socket, Data, (ulong)text.Length, (ulong)flags);
    }

    public long SendTo(ulong socket, string text, string endpoint)
    {
        (ulong pointer, ulong length) = Put(endpoint);
        Guest.Write(Data, System.Text.Encoding.ASCII.GetBytes(text));
        return Call(SYS_sendto, socket, Data, (ulong)text.Length, 0, pointer, length);
    }

    /// <summary>The text, or the negative errno.</summary>
    public string Receive(ulong socket, int length = 100, int flags = 0) => ReceiveFrom(socket, out _, length, flags);

    public string ReceiveFrom(ulong socket, out string? from, int length = 100, int flags = 0)
    {
        Guest.Write(Length, 128);
        long count = Call(SYS_recvfrom, socket, Data + 0x100, (ulong)length, (ulong)flags, Returned, Length);
        from = count < 0 || Guest.Read<int>(Length) == 0 ? null : Read(Guest.Read<int>(Length));
        return count < 0 ? $"{count}"
            : System.Text.Encoding.ASCII.GetString(Guest.Read(Data + 0x100, (int)Math.Min(count, length)));
    }

    /// <summary>getsockname(2) or getpeername(2).</summary>
    public string Name(int number, ulong socket)
    {
        Guest.Write(Length, 128);
        long result = Call(number, socket, Returned, Length);
        return result < 0 ? $"{result}" : Read(Guest.Read<int>(Length));
    }

    private string Read(int length)
    {
        byte[] bytes = Guest.Read(Returned, length);
        bool four = BitConverter.ToUInt16(bytes) == AF_INET;
        Assert.Equal(four ? 16 : 28, length);
        ushort port = BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(2));
        return new IPEndPoint(new IPAddress(four ? bytes.AsSpan(4, 4) : bytes.AsSpan(8, 16)), port).ToString();
    }

    public int Port(ulong socket) => IPEndPoint.Parse(Name(SYS_getsockname, socket)).Port;

    public long Set(ulong socket, int level, int option, int value)
    {
        Guest.Write(Data, value);
        return Call(SYS_setsockopt, socket, (ulong)level, (ulong)option, Data, sizeof(int));
    }

    /// <summary>The option's value, or the negative errno.</summary>
    public long Get(ulong socket, int level, int option)
    {
        Guest.Write(Length, 4);
        long result = Call(SYS_getsockopt, socket, (ulong)level, (ulong)option, Data, Length);
        return result < 0 ? result : Guest.Read<int>(Data);
    }

    /// <summary>poll(2) for one socket.</summary>
    public int Poll(ulong socket, int events, int milliseconds = 0)
    {
        Guest.Write(Data, (int)socket);
        Guest.Write(Data + 4, (short)events);
        Guest.Write(Data + 6, (short)0);
        return Call(SYS_poll, Data, 1, (ulong)milliseconds) <= 0 ? 0 : Guest.Read<short>(Data + 6);
    }
}
