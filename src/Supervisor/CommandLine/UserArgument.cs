using System.Globalization;
using Sandbox.Policy.Contract;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>
/// <c>--user NAME|UID[:GID]</c>. The user exists only in the guest; it gives no right to anything on the host.
/// </summary>
static class UserArgument
{
    const string Flag = "--user";
    const string DefaultName = "sandbox";
    const uint DefaultId = 1000;
    const uint NobodyId = 65534;

    /// <summary>(uid_t)-1 means "leave unchanged" to the kernel, so it can be nobody's number.</summary>
    const uint MaximumId = uint.MaxValue - 1;

    public static GuestUser Default { get; } = Make(DefaultName, DefaultId, DefaultId);

    public static GuestUser Parse(string text)
    {
        string[] parts = text.Split(':');
        if (parts.Length > 2 || parts.Any(part => part.Length == 0))
            throw new UsageException($"{Flag}: {Quote.Value(text)} is not NAME, UID or UID:GID");
        uint? gid = parts.Length == 2 ? Id(parts[1], text) : null;
        if (char.IsAsciiDigit(parts[0][0]))
        {
            uint uid = Id(parts[0], text);
            return Make(NameOf(uid), uid, gid ?? uid);
        }

        CheckName(parts[0]);
        uint known = parts[0] switch { "root" => 0, "nobody" => NobodyId, _ => DefaultId };
        return Make(parts[0], known, gid ?? known);
    }

    static GuestUser Make(string name, uint uid, uint gid) =>
        new() { Name = name, Uid = uid, Gid = gid, Home = uid == 0 ? "/root" : "/home/" + name };

    static string NameOf(uint uid) => uid switch { 0 => "root", NobodyId => "nobody", _ => DefaultName };

    static uint Id(string digits, string text) =>
        uint.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out uint id) && id <= MaximumId
            ? id
            : throw new UsageException($"{Flag}: {Quote.Value(text)}: {Quote.Value(digits)} is not a number from 0 to {MaximumId}");

    // The name becomes a line of /etc/passwd and a path: useradd(8)'s own pattern keeps both well-formed.
    static void CheckName(string name)
    {
        bool good = name.Length <= 32 && (char.IsAsciiLetterLower(name[0]) || name[0] == '_')
            && name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '_' or '-');
        if (!good)
            throw new UsageException(
                $"{Flag}: {Quote.Value(name)} is not a user name; use up to 32 of a-z, 0-9, _ and -, beginning with a letter");
    }
}
