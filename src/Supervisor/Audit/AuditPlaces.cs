using System.Security.Cryptography;
using System.Text;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Audit;

/// <summary>Where the key of a user's audit logs and the heads of the logs are kept: never beside the logs.</summary>
static class AuditPlaces
{
    /// <summary>
    /// $XDG_CONFIG_HOME/sandbox/audit.key; without the variable /etc/sandbox for root, ~/.config for others.
    /// </summary>
    public static string Key => Path.Combine(Folder("XDG_CONFIG_HOME", "/etc", ".config"), "audit.key");

    /// <summary>
    /// The folder of heads: $XDG_STATE_HOME/sandbox; /var/lib/sandbox for root, ~/.local/state for others.
    /// </summary>
    public static string Heads => Path.Combine(Folder("XDG_STATE_HOME", "/var/lib", ".local/state"), "audit");

    /// <summary>The head of a log, by the log's path without links.</summary>
    public static string HeadOf(string realPath) =>
        Path.Combine(
            Heads, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(realPath)))[..32] + ".head");

    static string Folder(string variable, string roots, string users)
    {
        string above = Environment.GetEnvironmentVariable(variable) is { Length: > 0 } named && named[0] == '/'
            ? named
            : geteuid() == 0
                ? roots
                : Path.Combine(Environment.GetEnvironmentVariable("HOME") is { Length: > 0 } home && home[0] == '/'
                    ? home
                    : throw new UsageException(
                        "audit: there is no place for the log's key; set HOME or XDG_CONFIG_HOME"), users);
        return Path.Combine(above, "sandbox");
    }
}
