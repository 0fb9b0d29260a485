using System.CommandLine;

namespace Sandbox.Supervisor.Kernels;

/// <summary><c>sandbox kernel</c> and its verbs. None of them needs a guest or KVM.</summary>
sealed class KernelCommand
{
    public KernelCommand()
    {
        List = new Command("list", "List the kernels of this host, and those that are kept") { Json };
        Check = new Command("check", "Say what kernel a file is, and whether a guest can start from it")
            { Files, Json };
        Add = new Command("add", "Keep a copy of a kernel, with the modules that guests need") { Source, KeptName };
        Remove = new Command("remove", "Forget a kernel that was kept") { Kept };
        Command = new Command("kernel", "Look at the kernels that guests can have, and keep some")
            { List, Check, Add, Remove };
    }

    public Command Command { get; }
    public Command List { get; }
    public Command Check { get; }
    public Command Add { get; }
    public Command Remove { get; }

    public Argument<string[]> Files { get; } = new("KERNEL...") { Arity = ArgumentArity.OneOrMore };
    public Argument<string> Source { get; } = new("FILE|FOLDER") { Arity = ArgumentArity.ExactlyOne };
    public Argument<string> Kept { get; } = new("NAME") { Arity = ArgumentArity.ExactlyOne };
    public Option<bool> Json { get; } = new("--json") { Description = "print JSON", Arity = ArgumentArity.Zero };
    public Option<string> KeptName { get; } =
        new("--name") { HelpName = "NAME", Description = "what --kernel shall call it (default: its version)" };
}
