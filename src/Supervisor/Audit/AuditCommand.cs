using System.CommandLine;

namespace Sandbox.Supervisor.Audit;

/// <summary><c>sandbox audit</c> and its verbs. None of them needs a guest, KVM or privileges.</summary>
sealed class AuditCommand
{
    public AuditCommand()
    {
        Show = new Command("show", "Print what a log says") { Log, Sandbox, Denied, Since, Json };
        Verify = new Command("verify", "Check that a log is whole and unchanged") { Log, Key, Head };
        Running = new Command(
            "sandbox", "Read a running sandbox's walls back from the kernel, and compare them with what they should be")
        {
            Id, Json, User,
        };
        Command = new Command("audit", "Read and check audit logs, and the walls of running sandboxes")
            { Show, Verify, Running };
    }

    public Command Command { get; }
    public Command Show { get; }
    public Command Verify { get; }
    public Command Running { get; }

    public Argument<string> Log { get; } = new("LOG") { Arity = ArgumentArity.ExactlyOne };
    public Argument<string> Id { get; } = new("ID") { Arity = ArgumentArity.ExactlyOne };
    public Option<string> Sandbox { get; } = new("--sandbox")
        { HelpName = "ID", Description = "only this sandbox; the beginning of its name will do" };
    public Option<bool> Denied { get; } = new("--denied")
        { Description = "only what was denied", Arity = ArgumentArity.Zero };
    public Option<string> Since { get; } = new("--since")
        { HelpName = "TIME", Description = "only later lines: 2026-01-31T12:00:00Z, or 10m for ten minutes ago" };
    public Option<bool> Json { get; } = new("--json")
        { Description = "print JSON, one object or line", Arity = ArgumentArity.Zero };
    public Option<string> User { get; } =
        new("--user", "-u") { HelpName = "USER", Description = "root: a sandbox of this user, by name or number" };
    public Option<string> Key { get; } = new("--key")
        { HelpName = "FILE", Description = "the log's key (default: this user's)" };
    public Option<string> Head { get; } = new("--head")
        { HelpName = "FILE", Description = "the log's head (default: where this user's are kept)" };
}
