using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Sandbox.Policy.Language;

/// <summary>Addresses, blocks and host names as policies and requests write them.</summary>
public static class NetworkText
{
    /// <summary>An address or a CIDR block. False without a problem when the text is no address at all.</summary>
    public static bool TryBlock(string text, out IPNetwork block, out string problem)
    {
        block = default;
        problem = "";
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        if (!TryAddress(slash < 0 ? text : text[..slash], out IPAddress? address))
        {
            if (slash >= 0)
                problem =
                    $"{Quote.Value(text)} is not a block of addresses; write one as in 192.0.2.0/24 or 2001:db8::/32";
            return false;
        }

        int bits = address.AddressFamily == AddressFamily.InterNetwork ? 32 : 128;
        int length = bits;
        if (slash >= 0
            && !(int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out length)
                && length <= bits))
        {
            problem = $"{Quote.Value(text)}: a prefix has 0 to {bits} bits";
            return false;
        }

        if (!IPNetwork.TryParse($"{address}/{length}", out block) || !block.BaseAddress.Equals(address))
        {
            problem = $"{Quote.Value(text)} has bits set behind its prefix; write the block's first address";
            return false;
        }

        return true;
    }

    /// <summary>A whole address: no shorthand such as 127.1, octal or zone.</summary>
    public static bool TryAddress(
        string text, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out IPAddress? address)
    {
        address = null;
        bool four = text.Count(c => c == '.') == 3 && text.Split('.').All(part =>
            part.Length is > 0 and <= 3 && part.All(char.IsAsciiDigit) && (part.Length == 1 || part[0] != '0'));
        bool six = text.Contains(':', StringComparison.Ordinal)
            && text.All(c => char.IsAsciiHexDigit(c) || c is ':' or '.');
        if (!(four || six) || !IPAddress.TryParse(text, out address))
            return false;
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        return true;
    }

    /// <summary>A host name in lower case without a dot at its end, or *. before one.</summary>
    public static bool TryName(string text, out string name, out string problem)
    {
        name = text.ToLowerInvariant().TrimEnd('.');
        string bare = name.StartsWith("*.", StringComparison.Ordinal) ? name[2..] : name;
        string[] labels = bare.Split('.');
        bool good = bare.Length is > 0 and <= 253
            && labels.All(label => label.Length <= 63 && HostnameText.IsLabel(label))
            // What looks like an address is one in some resolver's eyes.
            && !labels[^1].All(char.IsAsciiDigit) && !labels[^1].StartsWith("0x", StringComparison.Ordinal);
        problem = good
            ? ""
            : $"{Quote.Value(text)} is neither a host name, nor an address, nor a block as in 192.0.2.0/24";
        return good;
    }
}
