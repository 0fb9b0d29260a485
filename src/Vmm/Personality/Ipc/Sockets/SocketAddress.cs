using System.Text;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// The address of a Unix socket (unix(7)): none, a path, or an abstract name, which begins with a zero byte.
/// </summary>
public sealed class SocketAddress : IEquatable<SocketAddress>
{
    /// <summary>sizeof(sa_family_t).</summary>
    public const int FamilySize = 2;

    /// <summary>sizeof(struct sockaddr_un).</summary>
    public const int MaximumSize = FamilySize + UNIX_PATH_MAX;

    private readonly byte[] _name;

    private SocketAddress(byte[] name) => _name = name;

    /// <summary>The address of a socket that was never bound: the family alone.</summary>
    public static SocketAddress Unnamed { get; } = new([]);

    public bool IsUnnamed => _name.Length == 0;

    public bool IsAbstract => _name.Length > 0 && _name[0] == 0;

    /// <summary>
    /// The bytes after the family: a path without its NUL, or an abstract name with its leading zero.
    /// </summary>
    public ReadOnlySpan<byte> Name => _name;

    /// <summary>Reads a struct sockaddr_un that a guest passed.</summary>
    /// <returns>Null for what the kernel calls EINVAL.</returns>
    public static SocketAddress? TryParse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length is < FamilySize or > MaximumSize || BitConverter.ToUInt16(bytes) != AF_UNIX)
            return null;
        ReadOnlySpan<byte> name = bytes[FamilySize..];
        if (name.IsEmpty)
            return Unnamed;
        if (name[0] != 0)
        {
            int end = name.IndexOf((byte)0);
            if (end >= 0)
                name = name[..end];
        }
        return new SocketAddress(name.ToArray());
    }

    /// <summary>
    /// The name that bind(2) chooses for a socket that only gives the family (autobind): five digits.
    /// </summary>
    public static SocketAddress Automatic(uint number) =>
        new([0, .. Encoding.ASCII.GetBytes((number & 0xfffff).ToString("x5"))]);

    /// <summary>The name that the inner socket of an Internet socket has. No guest can bind it: it is in no table.</summary>
    internal static SocketAddress Internet(InternetAddress address)
    {
        byte[] name = new byte[1 + InternetAddress.WrittenSize];
        address.Write(name.AsSpan(1));
        return new SocketAddress(name);
    }

    /// <summary>What <see cref="Internet"/> was made of.</summary>
    internal InternetAddress ToInternet() => InternetAddress.Read(_name.AsSpan(1));

    /// <summary>Writes the address as struct sockaddr_un; paths with their NUL.</summary>
    /// <returns>Its length, as addrlen reports it.</returns>
    public int Format(Span<byte> destination)
    {
        BitConverter.TryWriteBytes(destination, (ushort)AF_UNIX);
        _name.CopyTo(destination[FamilySize..]);
        if (IsUnnamed || IsAbstract)
            return FamilySize + _name.Length;
        // A path may fill all of sun_path; its NUL is then one byte behind it, as in the kernel.
        destination[FamilySize + _name.Length] = 0;
        return FamilySize + _name.Length + 1;
    }

    public bool Equals(SocketAddress? other) => other is not null && _name.AsSpan().SequenceEqual(other._name);

    public override bool Equals(object? obj) => Equals(obj as SocketAddress);

    public override int GetHashCode()
    {
        HashCode hash = new();
        hash.AddBytes(_name);
        return hash.ToHashCode();
    }

    public override string ToString() =>
        IsAbstract ? "@" + Encoding.Latin1.GetString(_name.AsSpan(1)) : Encoding.UTF8.GetString(_name);
}
