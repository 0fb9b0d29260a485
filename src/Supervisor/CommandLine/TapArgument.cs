using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>One <c>--tap NAME[,address=IP/BITS][,gateway=IP][,mac=MAC][,queues=N]</c>.</summary>
/// <param name="Name">Of an interface of the caller's network namespace.</param>
/// <param name="Mac">The guest's: 6 bytes, not of a group.</param>
/// <param name="Address">The only one that the guest may send from; null for any.</param>
/// <param name="PrefixBits">How many of the address's bits name its network; 0 without an address.</param>
/// <param name="Gateway">In the address's network; null for none.</param>
/// <param name="Queues">Of the TAP device, if it was made with several; else 1.</param>
sealed record TapArgument(
    string Name, byte[] Mac, IPAddress? Address, int PrefixBits, IPAddress? Gateway, int Queues)
{
    public const string Flag = "--tap";

    public const string Form = "NAME[,address=IP/BITS][,gateway=IP][,mac=MAC][,queues=N]";

    /// <summary>IFNAMSIZ without the terminating NUL.</summary>
    const int MaximumName = 15;

    const int MacBytes = 6;

    public static TapArgument Parse(string text)
    {
        string[] parts = text.Split(',');
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string part in parts[1..])
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? part : part[..equals];
            if (equals < 0 || key is not ("address" or "gateway" or "mac" or "queues"))
                throw Mistake($"{Quote.Value(part)} is none of address=IP/BITS, gateway=IP, mac=MAC and queues=N");
            if (!values.TryAdd(key, part[(equals + 1)..]))
                throw Mistake($"{Quote.Value(text)} says {key} twice");
        }

        string name = CheckName(parts[0]);
        string? address = values.GetValueOrDefault("address");
        (IPAddress? own, int bits) = address is null ? (null, 0) : ParseAddress(address);
        return new TapArgument(name,
            values.TryGetValue("mac", out string? mac) ? ParseMac(mac) : DeriveMac(name, address), own, bits,
            values.TryGetValue("gateway", out string? gateway) ? ParseGateway(gateway, own, bits) : null,
            values.TryGetValue("queues", out string? queues) ? ParseQueues(queues) : 1);
    }

    // As the kernel's dev_valid_name; % stands for a number that it chooses.
    static string CheckName(string name)
    {
        if (name.Length > MaximumName)
            throw Mistake(
                $"{Quote.Value(name)} is too long for an interface; names have {MaximumName} letters at most");
        if (name is "" or "." or ".."
            || name.AsSpan().IndexOfAnyExceptInRange('!', '~') >= 0
            || name.AsSpan().ContainsAny("/:%"))
            throw Mistake($"{Quote.Value(name)} is no name of an interface; write {Form}");
        return name;
    }

    static (IPAddress Address, int Bits) ParseAddress(string text)
    {
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        if (slash < 0 || !NetworkText.TryAddress(text[..slash], out IPAddress? address)
            || !int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int bits)
            || bits < 1 || bits > Bits(address))
            throw Mistake($"{Quote.Value(text)} is no address with its network's bits; write one as in 192.0.2.2/24 or "
                + "2001:db8::2/64");
        if (!IsOneHosts(address))
            throw Mistake(
                $"{Quote.Value(text)} is no address that a guest can have; give it one of the TAP device's network");
        return (address, bits);
    }

    static IPAddress ParseGateway(string text, IPAddress? own, int bits)
    {
        if (own is null)
            throw Mistake("gateway= needs address=, in whose network it is");
        if (!NetworkText.TryAddress(text, out IPAddress? gateway) || !IsOneHosts(gateway))
            throw Mistake($"{Quote.Value(text)} is no address of a gateway; write one as in 192.0.2.1");
        if (gateway.AddressFamily != own.AddressFamily || !NetworkOf(own, bits).Contains(gateway))
            throw Mistake($"the gateway {gateway} is not in the network of {own}/{bits}; name one that is");
        return gateway.Equals(own) ? throw Mistake($"the gateway {gateway} is the guest's own address") : gateway;
    }

    static IPNetwork NetworkOf(IPAddress address, int bits)
    {
        byte[] bytes = address.GetAddressBytes();
        for (int bit = bits; bit < 8 * bytes.Length; bit++)
            bytes[bit / 8] &= (byte)~(0x80 >> (bit % 8));
        return new IPNetwork(new IPAddress(bytes), bits);
    }

    static int Bits(IPAddress address) => address.AddressFamily == AddressFamily.InterNetwork ? 32 : 128;

    static bool IsOneHosts(IPAddress address)
    {
        byte first = address.GetAddressBytes()[0];
        return !IPAddress.IsLoopback(address) && !address.Equals(IPAddress.Any) && !address.Equals(IPAddress.IPv6Any)
            // 224.0.0.0 and above, and ff00::/8.
            && first < (address.AddressFamily == AddressFamily.InterNetwork ? 224 : 255);
    }

    static int ParseQueues(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int queues)
            && queues is >= 1 and <= MachineOptions.MaximumTapQueues
            ? queues
            : throw Mistake(
                $"{Quote.Value(text)} is no number of queues; write 1 to {MachineOptions.MaximumTapQueues}");

    static byte[] ParseMac(string text)
    {
        string[] parts = text.Split(':');
        byte[] mac = new byte[MacBytes];
        bool good = parts.Length == MacBytes;
        for (int i = 0; good && i < MacBytes; i++)
            good = parts[i].Length == 2
                && byte.TryParse(parts[i], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out mac[i]);
        if (!good || !mac.AsSpan().ContainsAnyExcept((byte)0))
            throw Mistake($"{Quote.Value(text)} is no MAC address; write one as in 02:00:00:00:00:01");
        if ((mac[0] & 1) != 0)
            throw Mistake(
                $"{Quote.Value(text)} is the MAC address of a group; the first byte of one interface's is even");
        return mac;
    }

    /// <summary>The same for the same words, so that neighbours know a guest again; locally administered.</summary>
    static byte[] DeriveMac(string name, string? address)
    {
        byte[] mac = SHA256.HashData(Encoding.UTF8.GetBytes($"{name} {address}"))[..MacBytes];
        mac[0] = (byte)((mac[0] & ~1) | 2);
        return mac;
    }

    static UsageException Mistake(string what) => new($"{Flag}: {what}");
}
