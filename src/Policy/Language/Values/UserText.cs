using System.Globalization;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// A guest's user as NAME, UID or UID:GID. The user exists only in the guest; it gives no right to anything on the
/// host.
/// </summary>
public static class UserText
{
    const string DefaultName = "sandbox";
    const uint DefaultId = 1000;
    const uint NobodyId = 65534;

    /// <summary>(uid_t)-1 means "leave unchanged" to the kernel, so it can be nobody's number.</summary>
    const uint MaximumId = uint.MaxValue - 1;

    public static GuestUser Default { get; } = Make(DefaultName, DefaultId, DefaultId);

    /// <param name="problem">What is wrong, when false is returned.</param>
    public static bool TryParse(string text, out GuestUser user, out string problem)
    {
        user = Default;
        problem = "";
        string[] parts = text.Split(':');
        if (parts.Length > 2 || parts.Any(part => part.Length == 0))
        {
            problem = $"{Quote.Value(text)} is not NAME, UID or UID:GID";
            return false;
        }

        uint? gid = null;
        if (parts.Length == 2)
        {
            if (!TryId(parts[1], text, out uint group, out problem))
                return false;
            gid = group;
        }

        if (char.IsAsciiDigit(parts[0][0]))
        {
            if (!TryId(parts[0], text, out uint uid, out problem))
                return false;
            user = Make(NameOf(uid), uid, gid ?? uid);
            return true;
        }

        if (!IsName(parts[0]))
        {
            problem = $"{Quote.Value(parts[0])} is not a user name; use up to 32 of a-z, 0-9, _ and -, beginning with "
                + "a letter";
            return false;
        }

        uint known = parts[0] switch { "root" => 0, "nobody" => NobodyId, _ => DefaultId };
        user = Make(parts[0], known, gid ?? known);
        return true;
    }

    static GuestUser Make(string name, uint uid, uint gid) =>
        new() { Name = name, Uid = uid, Gid = gid, Home = uid == 0 ? "/root" : "/home/" + name };

    static string NameOf(uint uid) => uid switch { 0 => "root", NobodyId => "nobody", _ => DefaultName };

    static bool TryId(string digits, string text, out uint id, out string problem)
    {
        bool good = uint.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out id) && id <= MaximumId;
        problem = good ? "" : $"{Quote.Value(text)}: {Quote.Value(digits)} is not a number from 0 to {MaximumId}";
        return good;
    }

    // The name becomes a line of /etc/passwd and a path: useradd(8)'s own pattern keeps both well-formed.
    static bool IsName(string name) =>
        name.Length <= 32 && (char.IsAsciiLetterLower(name[0]) || name[0] == '_')
        && name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '_' or '-');
}
