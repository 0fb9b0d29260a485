using System.CommandLine;
using Sandbox.Supervisor.CommandLine;

namespace Sandbox.Supervisor.PolicyTools;

/// <summary><c>sandbox policy</c> and its verbs. None of them needs a guest, KVM or privileges.</summary>
sealed class PolicyCommand
{
    /// <param name="run">Whose flags learning takes too.</param>
    public PolicyCommand(RunCommand run)
    {
        Learn = new Command("learn", "Run a program with nothing refused, and write the policy that it needs")
            { Runs, NewPolicy, Append };
        foreach (Option flag in run.Command.Options.Except(run.OwnFlags))
            Learn.Add(flag);
        Check = new Command("check", "Find what is wrong or remarkable") { Files, ReportFormat };
        Explain = new Command("explain", "Say how a request is decided, by which rule, and why") { File, RequestText };
        Test = new Command("test", "Run the cases of a folder") { Folder, JUnit, Cover };
        Diff = new Command("diff", "Say what became allowed and what became denied") { Old, New, Json, FailOnWidening };
        Implies = new Command("implies", "Whether A allows nothing that B does not") { Old, New };
        Equivalent = new Command("equivalent", "Whether A and B allow the same") { Old, New };
        Score = new Command("score", "How much is left open, worst first") { File, Json, Threshold };
        Show = new Command("show", "Print the policy after composition, each value with its origin") { File };
        Schema = new Command("schema", "Print the language as JSON Schema") { Reference };
        Format = new Command("fmt", "Print in canonical layout; comments and meaning stay") { Files, CheckOnly, Write };
        MakeKey = new Command("keygen", "Make a key: KEY signs, KEY.pub verifies") { NewKey };
        Sign = new Command("sign", "Sign a policy with everything that it extends")
            { File, Key, Revision, NotBefore, Expires, PolicyName, Out };
        Verify = new Command(
            "verify", "Whether a policy is signed by a trusted key, is valid now, and not older than seen")
            { File, Signature, Trust };
        Command = new Command("policy", "Check, test, explain, compare and sign policies")
        {
            Check, Explain, Test, Diff, Implies, Equivalent, Score, Learn, Show, Schema, Format, MakeKey, Sign, Verify,
        };
    }

    /// <summary>Forms in which findings are printed.</summary>
    public static IReadOnlyList<string> ReportFormats { get; } = ["human", "json", "sarif"];

    public Command Command { get; }
    public Command Check { get; }
    public Command Explain { get; }
    public Command Test { get; }
    public Command Diff { get; }
    public Command Implies { get; }
    public Command Equivalent { get; }
    public Command Score { get; }
    public Command Learn { get; }
    public Command Show { get; }
    public Command Schema { get; }
    public Command Format { get; }
    public Command MakeKey { get; }
    public Command Sign { get; }
    public Command Verify { get; }

    public Argument<string[]> Files { get; } = new("FILE...") { Arity = ArgumentArity.OneOrMore };
    public Argument<string> File { get; } = new("FILE") { Arity = ArgumentArity.ExactlyOne };
    public Argument<string> Folder { get; } = new("FOLDER") { Arity = ArgumentArity.ExactlyOne };
    public Argument<string> Old { get; } = new("A") { Arity = ArgumentArity.ExactlyOne };
    public Argument<string> New { get; } = new("B") { Arity = ArgumentArity.ExactlyOne };
    public Option<string> ReportFormat { get; } = new("--format")
        { HelpName = "FORMAT", Description = "human, json or sarif (default human)" };
    public Option<string> RequestText { get; } = new("--request")
        { HelpName = "REQUEST", Description = "what to ask, as in 'open /etc/shadow for read'" };
    public Option<string> JUnit { get; } = new("--junit")
        { HelpName = "FILE", Description = "write the results as JUnit's XML" };
    public Option<string> Cover { get; } = new("--cover")
        { HelpName = "PERCENT", Description = "fail when fewer of the rules are reached" };
    public Option<string> Runs { get; } = new("--runs")
        { HelpName = "N", Description = "how many times to run the program (default 1)" };
    public Option<string> NewPolicy { get; } = new("--out")
        { HelpName = "FILE", Description = "where the policy goes, a new file (default: stdout)" };
    public Option<string> Append { get; } = new("--append")
        { HelpName = "FILE", Description = "add to what earlier runs kept here, and keep it here" };
    public Option<bool> Reference { get; } =
        new("--reference") { Description = "print the reference page instead", Arity = ArgumentArity.Zero };
    public Option<bool> Json { get; } = new("--json") { Description = "print JSON", Arity = ArgumentArity.Zero };
    public Option<string> Threshold { get; } = new("--threshold")
        { HelpName = "N", Description = "fail when the score is above N (0 to 100)" };
    public Option<bool> FailOnWidening { get; } =
        new("--fail-on-widening")
            { Description = "fail when anything became allowed or different", Arity = ArgumentArity.Zero };

    public Option<bool> CheckOnly { get; } =
        new("--check")
            { Description = "say what would change, and fail if anything would", Arity = ArgumentArity.Zero };
    public Option<bool> Write { get; } = new("--write")
        { Description = "change the files", Arity = ArgumentArity.Zero };

    public Argument<string> NewKey { get; } = new("KEY") { Arity = ArgumentArity.ExactlyOne };
    public Option<string> Key { get; } = new("--key") { HelpName = "KEY", Description = "the private key, in PEM" };
    public Option<string> Revision { get; } = new("--revision")
        { HelpName = "N", Description = "which revision of the policy this is (default 1)" };
    public Option<string> NotBefore { get; } =
        new("--not-before") { HelpName = "MOMENT",
            Description = "from when on, as in 2026-05-01 or 2026-05-01T12:00:00Z (default now)" };
    public Option<string> Expires { get; } = new("--expires")
        { HelpName = "MOMENT", Description = "when it ends (default never)" };
    public Option<string> PolicyName { get; } =
        new("--name") { HelpName = "NAME",
            Description = "what the policy is called through its revisions (default its file's name)" };
    public Option<string> Out { get; } = new("--out")
        { HelpName = "FILE", Description = "where the signature goes (default FILE.sig)" };
    public Option<string> Signature { get; } = new("--signature")
        { HelpName = "FILE", Description = "the signature (default FILE.sig)" };
    public Option<string> Trust { get; } =
        new("--trust")
            { HelpName = "KEYFILE", Description = "a public key, in PEM (default: those that this host trusts)" };
}
