using System.Buffers.Binary;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>An address and a port, of IPv4 or IPv6. IPv4 addresses are kept as ::ffff:a.b.c.d.</summary>
/// <param name="Bits">The address as a number.</param>
public readonly record struct InternetAddress(UInt128 Bits, ushort Port)
{
    /// <summary>Bytes of <see cref="Write"/>.</summary>
    public const int WrittenSize = 18;

    /// <summary>sizeof(struct sockaddr_in) and sizeof(struct sockaddr_in6).</summary>
    public const int FourSize = 16, SixSize = 28;

    /// <summary>The scope at the end of a struct sockaddr_in6 may be missing (RFC 2133).</summary>
    private const int ShortSixSize = 24;

    private static readonly UInt128 s_mapped = (UInt128)0xffff << 32;

    public static InternetAddress Four(uint address, ushort port) => new(s_mapped | address, port);

    /// <summary>What a socket that was not bound shows, and what listens everywhere.</summary>
    public static InternetAddress Any(int family, ushort port = 0) => new(family == AF_INET ? s_mapped : 0, port);

    public bool IsFour => Bits >> 32 == 0xffff;

    public bool IsAny => Bits == 0 || Bits == s_mapped;

    /// <summary>127.0.0.0/8 and ::1.</summary>
    public bool IsLoopback => Bits == 1 || (IsFour && (byte)(Bits >> 24) == 127);

    /// <summary>Where a connection to this address goes: to no address means to one's own.</summary>
    public InternetAddress Destination =>
        !IsAny ? this : IsFour ? Four(INADDR_LOOPBACK, Port) : new InternetAddress(1, Port);

    /// <summary>Reads a struct sockaddr that a guest passed to a socket of a family.</summary>
    /// <returns>0, -EINVAL or -EAFNOSUPPORT.</returns>
    public static long TryParse(int family, ReadOnlySpan<byte> bytes, out InternetAddress address)
    {
        address = default;
        if (bytes.Length < (family == AF_INET ? FourSize : ShortSixSize))
            return -EINVAL;
        if (BitConverter.ToUInt16(bytes) != family)
            return -EAFNOSUPPORT;
        ushort port = BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]);
        address = family == AF_INET
            ? Four(BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]), port)
            : new InternetAddress(BinaryPrimitives.ReadUInt128BigEndian(bytes[8..]), port);
        return 0;
    }

    /// <summary>Writes the struct sockaddr that a socket of a family shows.</summary>
    /// <returns>Its length.</returns>
    public int Format(int family, Span<byte> destination)
    {
        destination[..SixSize].Clear();
        BitConverter.TryWriteBytes(destination, (ushort)family);
        BinaryPrimitives.WriteUInt16BigEndian(destination[2..], Port);
        if (family == AF_INET)
        {
            BinaryPrimitives.WriteUInt32BigEndian(destination[4..], (uint)Bits);
            return FourSize;
        }
        BinaryPrimitives.WriteUInt128BigEndian(destination[8..], Bits);
        return SixSize;
    }

    /// <summary>What the host's kernel filled in.</summary>
    public static unsafe InternetAddress Of(in sockaddr_in6 host)
    {
        fixed (sockaddr_in6* bytes = &host)
        {
            int family = host.sin6_family;
            ReadOnlySpan<byte> all = new(bytes, SixSize);
            return TryParse(family, all, out InternetAddress address) == 0 ? address : default;
        }
    }

    public static InternetAddress Of(in NetworkEndpoint endpoint) =>
        new(BinaryPrimitives.ReadUInt128BigEndian(endpoint.Address), endpoint.Port);

    public NetworkEndpoint ToEndpoint()
    {
        NetworkEndpoint endpoint = new() { Port = Port };
        BinaryPrimitives.WriteUInt128BigEndian(endpoint.Address, Bits);
        return endpoint;
    }

    /// <summary>As bytes of this program's own, see <see cref="Read"/>.</summary>
    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt128BigEndian(destination, Bits);
        BinaryPrimitives.WriteUInt16BigEndian(destination[16..], Port);
    }

    public static InternetAddress Read(ReadOnlySpan<byte> source) =>
        new(BinaryPrimitives.ReadUInt128BigEndian(source), BinaryPrimitives.ReadUInt16BigEndian(source[16..]));
}
