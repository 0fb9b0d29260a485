using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Launch;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Learning;

/// <summary>What <c>sandbox policy learn</c> was asked beyond what a run is.</summary>
/// <param name="Output">Where the policy goes; null for stdout.</param>
/// <param name="Observations">Where what was seen is kept, for later runs; null for nowhere.</param>
sealed record LearnOptions(int Runs, string? Output, string? Observations);

/// <summary>
/// <c>sandbox policy learn</c>: runs a program with everything recorded and nothing refused but what mounts refuse, and
/// writes the least policy that covers it. An existing policy is never touched.
/// </summary>
static class Learner
{
    const uint Mode = 0x1b6; // rw-rw-rw-, less the caller's umask

    /// <returns>0 when a policy was written, else that of the run that failed.</returns>
    public static int Run(LearnOptions options, RunOptions run)
    {
        RefuseExisting(options.Output);
        Observations seen = Earlier(options.Observations) ?? new Observations();
        LaunchResult? last = null;
        for (int number = 1; number <= options.Runs; number++)
        {
            StandardStreams.WriteError($"LEARNING, run {number} of {options.Runs}: everything is recorded, and nothing "
                + "refused but what mounts refuse");
            var collector = new ObservationCollector();
            using EarlyVmm vmm = EarlyVmm.Start();
            last = Launcher.Launch(run, vmm, HostClock.MonotonicNanoseconds(), collector);
            if (last.Line is not null)
                StandardStreams.WriteError(last.Line);
            if (last.Outcome is not Outcome.Ended { Cause: EndCause.Exited or EndCause.Signaled })
                return last.Status;
            if (collector.IsTooMuch || !seen.TryAdd(collector.Finish()))
                throw new UsageException($"policy learn: the program asks for more than {Observations.MaximumRequests} "
                    + "different things, which no policy should list");
        }

        PolicyModel whole = CommandLinePolicy.With(last!.Policy, run);
        var diagnostics = new Diagnostics();
        CompiledPolicy compiled = CompiledPolicy.Compile(whole, CompiledPolicy.UserOf(whole).Home, diagnostics)
            ?? throw new UsageException($"{diagnostics.List[0].Span}: {diagnostics.List[0].Message}");
        string policy = LearnedPolicy.Write(
            compiled, last.Launch.Plan.Files, seen, Quote.Value(run.Arguments[0]), out IReadOnlyList<string> uncovered,
            out string problem)
            ?? throw new UsageException($"policy learn: what was seen makes no policy: {problem}");
        foreach (string request in uncovered)
            StandardStreams.WriteError($"policy learn: not covered: {request}");
        if (options.Observations is not null)
            Replace(options.Observations, ObservationText.Write(seen));
        if (options.Output is null)
            return StandardStreams.WriteOutput(policy) ? 0 : ExitStatus.SandboxFailed;
        Create(options.Output, policy);
        StandardStreams.WriteError($"policy learn: wrote {Quote.Value(options.Output)}; review it, then: sandbox "
            + $"policy check {options.Output}");
        return 0;
    }

    static void RefuseExisting(string? output)
    {
        if (output is not null && Path.Exists(output))
            throw Exists(output);
    }

    static UsageException Exists(string output) =>
        new($"--out: {Quote.Value(output)} exists, and learning never changes a policy; name a new file, and compare "
            + "with sandbox policy diff");

    static Observations? Earlier(string? file)
    {
        if (file is null || !Path.Exists(file))
            return null;
        string text;
        try
        {
            const long most = 64 << 20;
            if (new FileInfo(file).Length > most)
                throw new UsageException($"--append: {Quote.Value(file)} is larger than observations can be");
            text = File.ReadAllText(file);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new UsageException(
                $"--append: {Quote.Value(file)} cannot be read; name a file that an earlier run wrote, or a new one");
        }

        return ObservationText.Read(text, out string problem)
            ?? throw new UsageException($"--append: {Quote.Value(file)}: {problem}");
    }

    static void Create(string path, string text)
    {
        int error =
            FileDescriptor.TryOpen(path, O_WRONLY | O_CREAT | O_EXCL | O_NOCTTY, Mode, out FileDescriptor? file);
        if (error == -EEXIST)
            throw Exists(path);
        if (error != 0)
            throw new HostException(-error, "open", path);
        using (file)
            Write(file!, path, text);
    }

    // In one step: who is interrupted keeps what was observed before.
    static unsafe void Replace(string path, string text)
    {
        string temporary = $"{path}.{Environment.ProcessId}";
        Create(temporary, text);
        fixed (byte* from = Encoding.UTF8.GetBytes(temporary + '\0'), to = Encoding.UTF8.GetBytes(path + '\0'))
        {
            if (renameat(AT_FDCWD, from, AT_FDCWD, to) == 0)
                return;
            HostException failure = HostException.Last("renameat", path);
            unlink(from);
            throw failure;
        }
    }

    static void Write(FileDescriptor file, string path, string text)
    {
        int error = Audit.PrivateFile.WriteAt(file, Encoding.UTF8.GetBytes(text), 0);
        if (error != 0)
            throw new HostException(-error, "write", path);
    }
}
