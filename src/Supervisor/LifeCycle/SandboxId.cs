using System.Globalization;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>What a sandbox is called by: 48 random bits, as 12 lowercase hexadecimal digits.</summary>
readonly record struct SandboxId(ulong Value)
{
    public const int Digits = 12;

    /// <exception cref="Host.HostException">The kernel has no random numbers.</exception>
    public static unsafe SandboxId Random()
    {
        ulong value = 0;
        // The runtime's own would load OpenSSL, which takes longer than all else that has to do with state.
        return getrandom(&value, Digits / 2, 0) == Digits / 2
            ? new SandboxId(value)
            : throw Host.HostException.Last("getrandom");
    }

    /// <summary>Null for anything but the one form that <see cref="ToString"/> writes.</summary>
    public static SandboxId? Parse(string text) => text.Length == Digits && IsPrefix(text)
        ? new SandboxId(ulong.Parse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture))
        : null;

    /// <summary>Whether some ID begins so.</summary>
    public static bool IsPrefix(string text) =>
        text.Length is > 0 and <= Digits && text.All(c => char.IsAsciiHexDigitLower(c));

    public override string ToString() => Value.ToString("x12", CultureInfo.InvariantCulture);
}
