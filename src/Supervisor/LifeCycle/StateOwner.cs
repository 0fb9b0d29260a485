using System.Globalization;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Language;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// Whose sandboxes a command is about: this user's own, or, for root, those of somebody who need not be honest. What
/// another user has written down is shown, and believed no more than he is.
/// </summary>
/// <param name="Places">Where what is known of them may be.</param>
sealed record StateOwner(uint User, IReadOnlyList<string> Places)
{
    public const string Flag = "--user";

    /// <summary>This user.</summary>
    public static StateOwner Own { get; } = new(geteuid(), [StatePlace.Path]);

    public bool IsOwn => User == geteuid();

    /// <param name="text">A name or a number; null for this user.</param>
    /// <exception cref="UsageException">There is no such user, or this one is not root.</exception>
    public static StateOwner Named(string? text)
    {
        if (text is null)
            return Own;
        uint user = Find(text)
            ?? throw new UsageException($"{Flag}: there is no user {Quote.Value(text)}; write a name or a number");
        if (user == geteuid())
            return Own;
        return geteuid() == 0
            ? new StateOwner(user, StatePlace.Of(user))
            : throw new UsageException($"{Flag}: only root may look at the sandboxes of another user");
    }

    // As chown(1) has it: who is called so, before who has that number.
    static unsafe uint? Find(string text)
    {
        if (text.Length == 0 || text.Contains('\0', StringComparison.Ordinal))
            return null;
        fixed (byte* name = Encoding.UTF8.GetBytes(text + '\0'))
            if (getpwnam(name) is not null and var user)
                return user->pw_uid;
        return uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint number)
            && number != uint.MaxValue
            ? number
            : null;
    }
}
