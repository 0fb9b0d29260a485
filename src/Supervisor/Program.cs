using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Kernels;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Learning;
using Sandbox.Supervisor.LifeCycle;
using Sandbox.Supervisor.PolicyTools;
using Sandbox.Supervisor.Trust;

namespace Sandbox.Supervisor;

static class Program
{
    static int Main(string[] arguments)
    {
        long startedAt = HostClock.MonotonicNanoseconds();
        StandardStreams.Reserve();
        OpenFileLimit.Raise();
        using DetachedSupervisor? detached = DetachedSupervisor.TryBecome(ref arguments);
        int status = Run(arguments, detached, startedAt);
        detached?.ReportEnd(status);
        return status;
    }

    static int Run(string[] arguments, DetachedSupervisor? detached, long startedAt)
    {
        // The VMM starts while this process still parses and opens files: two cores, one wait.
        using EarlyVmm vmm = WillRun(arguments, detached is not null) ? EarlyVmm.Start() : EarlyVmm.None;
        try
        {
            return Dispatch(arguments, vmm, detached, startedAt);
        }
        catch (Exception mistake) when (mistake is UsageException or HostException)
        {
            StandardStreams.WriteError(mistake.Message);
            return ExitStatus.SandboxFailed;
        }
        catch (OutOfMemoryException)
        {
            // The project file's bound. Nothing is held any more of what reached it.
            StandardStreams.WriteError(
                "this takes more than the 80 MiB of memory that a command may use; make the policies smaller");
            return ExitStatus.SandboxFailed;
        }
    }

    static bool WillRun(string[] arguments, bool isDetached)
    {
        if (arguments is not ["run", ..])
            return false;
        foreach (string argument in arguments)
        {
            if (argument == "--" || argument.StartsWith("--kernel", StringComparison.Ordinal))
                return true;
            if (argument is "--help" or "-h"
                || (!isDetached && argument is RunCommand.DetachFlag or RunCommand.DetachLetter))
                return false;
        }

        return false;
    }

    static int Dispatch(string[] arguments, EarlyVmm vmm, DetachedSupervisor? detached, long startedAt)
    {
        RequireUtf8(arguments);
        var model = new CommandModel();
        (string[] flags, string[]? program) = RunCommand.Split(arguments);
        ParseResult parsed = CommandLineParser.Parse(model.Root, flags, CommandModel.Configuration);
        Command command = parsed.CommandResult.Command;
        if (parsed.GetResult(model.Help) is not null)
            return Print(HelpText.For(model, command));
        if (command == model.Root && parsed.GetValue(model.VersionFlag))
            return Print(VersionLine);
        if (parsed.Errors.Count > 0 || command == model.Root)
            throw ParseMistake.Describe(model, parsed);
        if (command == model.Run.Command && parsed.GetValue(model.Run.ShowPolicy))
            return Print(PolicyText.Write(TrustedPolicy.OfThisHost.Load(model.Run.PolicyFile(parsed)).Policy));
        if (command == model.Run.Command)
        {
            RunOptions options = model.Run.Read(parsed, program, Environment.GetEnvironmentVariable);
            return options.Detach && detached is null
                ? DetachedCall.Run(arguments)
                : Launcher.Run(options, vmm, startedAt, detached);
        }

        if (command == model.Policy.Learn)
            return Learn(model, parsed, program);
        if (program is not null)
            throw new UsageException($"{command.Name}: takes no program after --; see sandbox {command.Name} --help");
        if (model.LifeCycle.Commands.Contains(command))
            return LifeCycleTool.Run(model.LifeCycle, parsed);
        if (model.Policy.Command.Subcommands.Contains(command))
            return PolicyTool.Run(model.Policy, parsed);
        if (model.GroupOf(command) == model.Audit.Command)
            return AuditTool.Run(model.Audit, parsed);
        if (model.GroupOf(command) == model.Kernels.Command)
            return KernelTool.Run(model.Kernels, parsed);
        if (command == model.Completion)
            return Print(CompletionScript.For(model, parsed.GetRequiredValue(model.Shell)));
        return command == model.Doctor ? Doctor.Examination.Run() : Print(VersionLine);
    }

    static int Learn(CommandModel model, ParseResult parsed, string[]? program)
    {
        if (program is null or [] or ["", ..])
            throw new UsageException("policy learn: no program given; write it after --, as in: sandbox policy learn "
                + "--out new.yaml -- ls -l");
        const int mostRuns = 1000;
        var options = new LearnOptions(
            RunCommand.Count(parsed, model.Policy.Runs, mostRuns) ?? 1,
            RunCommand.FileName(parsed, model.Policy.NewPolicy),
            RunCommand.FileName(parsed, model.Policy.Append));
        return Learner.Run(options, model.Run.Read(parsed, program, Environment.GetEnvironmentVariable));
    }

    static string VersionLine => $"sandbox {BuildVersion.Text}\n";

    static int Print(string text) => StandardStreams.WriteOutput(text) ? 0 : ExitStatus.SandboxFailed;

    // The runtime replaces bytes that are no UTF-8, so that the guest would get other arguments than the caller gave.
    static void RequireUtf8(string[] arguments)
    {
        if (!Array.Exists(arguments, argument => argument.Contains('\ufffd', StringComparison.Ordinal)))
            return;
        byte[] raw = File.ReadAllBytes("/proc/self/cmdline");
        if (!System.Text.Unicode.Utf8.IsValid(raw))
            throw new UsageException("an argument is not valid UTF-8 text; file names in other encodings cannot be "
                + "passed on, so rename the file");
    }
}
