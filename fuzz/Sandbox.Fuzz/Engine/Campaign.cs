using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Sandbox.Fuzz.Engine;

/// <summary>
/// The supervisor of a fuzzing run: starts workers, watches their journals, blames deaths and hangs on the input that
/// was running, starts them again, and prints a status line.
/// </summary>
public sealed class Campaign
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan TerminalStatusInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LogStatusInterval = TimeSpan.FromSeconds(10);

    /// <summary>A worker that dies this often without having run an input is not going to.</summary>
    private const int MaximumStillbirths = 3;

    private readonly CampaignOptions _options;
    private readonly CampaignPaths _paths;
    private readonly Findings _findings;
    private readonly FuzzTarget _target;
    private readonly string _program;
    private readonly Stopwatch _watch = new();
    private int _hangs;
    private int _deaths;

    private sealed class Job
    {
        public required int Index { get; init; }
        public required Journal Journal { get; init; }
        public required string JournalPath { get; init; }
        public Process? Process { get; set; }
        public StringBuilder ErrorOutput { get; set; } = new();
        public int Starts { get; set; }
        public int Stillbirths { get; set; }
        public long EarlierExecutions { get; set; }
        public bool Finished { get; set; }

        /// <summary>
        /// The input that was running when the supervisor last looked, and the worker's CPU time then.
        /// </summary>
        public long WatchedSince { get; set; }
        public TimeSpan WatchedFrom { get; set; }
        public long Executions => EarlierExecutions + Journal.Executions;
        public long EarlierEdges { get; set; }
        public long Edges => Math.Max(EarlierEdges, Journal.Edges);
    }

    public Campaign(FuzzTarget target, CampaignOptions options, CampaignPaths paths)
    {
        _target = target;
        _options = options;
        _paths = paths;
        _findings = new Findings(paths.Findings);
        _program = Instrumentation.Prepare();
    }

    /// <returns>0, 1 with findings, 3 without coverage.</returns>
    public int Run()
    {
        Directory.CreateDirectory(_paths.Queue);
        Directory.CreateDirectory(_paths.Findings);
        using IDisposable copy = Instrumentation.Hold(_program);
        string[] before = [.. _findings.Sites];
        Console.Error.WriteLine(
            $"{_target.Name}: seed {_options.Seed}, {_options.Jobs} jobs, {_options.Duration}, input limit {_options.Timeout}");
        using CancellationTokenSource interrupted = new();
        Console.CancelKeyPress += (_, e) =>
        {
            e.Cancel = true;
            interrupted.Cancel();
        };

        string journals = Directory.CreateTempSubdirectory("sandbox-fuzz").FullName;
        Job[] jobs = [.. Enumerable.Range(0, _options.Jobs).Select(i => NewJob(journals, i))];
        _watch.Start();
        int status = 0;
        try
        {
            foreach (Job job in jobs)
                Start(job);
            status = Watch(jobs, interrupted.Token);
        }
        finally
        {
            foreach (Job job in jobs)
                Stop(job);
            Directory.Delete(journals, recursive: true);
        }
        PrintStatus(jobs, last: true);
        string[] sites = [.. _findings.Sites.Except(before)];
        foreach (string site in sites)
            Console.WriteLine($"finding: {Path.Combine(_paths.Findings, site, "input")}");
        if (jobs.Max(j => j.Edges) == 0)
        {
            Console.Error.WriteLine("no coverage at all: the instrumentation does not work");
            status = WorkerExit.NoCoverage;
        }
        foreach (Job job in jobs)
            job.Journal.Dispose();
        return status != 0 ? status : sites.Length > 0 ? WorkerExit.Finding : 0;
    }

    private Job NewJob(string directory, int index)
    {
        string path = Path.Combine(directory, $"job{index}");
        return new Job { Index = index, JournalPath = path, Journal = new Journal(path, _target.MaximumLength) };
    }

    private int Watch(Job[] jobs, CancellationToken interrupted)
    {
        TimeSpan statusInterval = Console.IsErrorRedirected ? LogStatusInterval : TerminalStatusInterval;
        TimeSpan nextStatus = statusInterval;
        while (!interrupted.IsCancellationRequested && jobs.Any(j => !j.Finished)
            && _findings.Sites.Count < _options.StopAtSites)
        {
            interrupted.WaitHandle.WaitOne(PollInterval);
            foreach (Job job in jobs)
                if (!job.Finished && !Check(job))
                    return WorkerExit.Usage;
            if (_watch.Elapsed < nextStatus)
                continue;
            PrintStatus(jobs, last: false);
            nextStatus = _watch.Elapsed + statusInterval;
        }
        return 0;
    }

    /// <summary>False when the worker cannot be made to work.</summary>
    private bool Check(Job job)
    {
        Process process = job.Process!;
        if (!process.HasExited)
        {
            if (!IsHanging(job))
                return true;
            process.Kill();
            process.WaitForExit();
            _hangs++;
            _findings.Add(CrashSite.OfHang(_options.Timeout), job.Journal.LastInput());
            return Restart(job);
        }
        // Also waits for the rest of the error output.
        process.WaitForExit();
        if (process.ExitCode is 0 or WorkerExit.NoCoverage)
        {
            job.Finished = true;
            return true;
        }
        _deaths++;
        if (job.Journal.RunningSince != 0)
        {
            _findings.Add(CrashSite.OfDeath(process.ExitCode, job.ErrorOutput.ToString()), job.Journal.LastInput());
            return Restart(job);
        }
        if (++job.Stillbirths < MaximumStillbirths)
            return Restart(job);
        Console.Error.WriteLine($"the worker cannot start (status {process.ExitCode}):\n{job.ErrorOutput}");
        return false;
    }

    /// <summary>
    /// A worker that has spent its time on one input; or one that sleeps, and is given longer, because a busy host may
    /// simply not let it run.
    /// </summary>
    private bool IsHanging(Job job)
    {
        const int sleepingFactor = 12;
        long since = job.Journal.RunningSince;
        TimeSpan spent;
        try
        {
            spent = job.Process!.TotalProcessorTime;
        }
        catch (InvalidOperationException)
        {
            // It has just ended: the next look sees that.
            return false;
        }
        if (since != job.WatchedSince)
        {
            (job.WatchedSince, job.WatchedFrom) = (since, spent);
            return false;
        }
        if (since == 0)
            return false;
        TimeSpan running = Stopwatch.GetElapsedTime(since);
        return spent - job.WatchedFrom > _options.Timeout || running > _options.Timeout * sleepingFactor;
    }

    private bool Restart(Job job)
    {
        job.Process!.Dispose();
        job.Process = null;
        job.EarlierExecutions = job.Executions;
        job.EarlierEdges = job.Edges;
        job.Journal.Clear();
        Start(job);
        return true;
    }

    private void Start(Job job)
    {
        TimeSpan left = _options.Duration - _watch.Elapsed;
        if (left <= TimeSpan.Zero)
        {
            job.Finished = true;
            return;
        }
        // Another seed each time: the sequence that killed a worker would kill it again.
        ulong seed = _options.Seed + (ulong)job.Index * 1_000_003 + (ulong)job.Starts * 7919;
        job.Starts++;
        StringBuilder errors = job.ErrorOutput = new StringBuilder();
        job.Process = WorkerProcess.Start(_program,
        [
            "worker", _target.Name, _options.Root, job.JournalPath, seed.ToString(CultureInfo.InvariantCulture),
            left.TotalSeconds.ToString(CultureInfo.InvariantCulture),
        ], line => WorkerProcess.Keep(errors, line));
    }

    private static void Stop(Job job)
    {
        if (job.Process is not { } process)
            return;
        if (!process.HasExited)
        {
            process.Kill();
            process.WaitForExit();
        }
        process.Dispose();
        job.Process = null;
    }

    private void PrintStatus(Job[] jobs, bool last)
    {
        long executions = jobs.Sum(j => j.Executions);
        double rate = executions / Math.Max(_watch.Elapsed.TotalSeconds, 0.001);
        string line = string.Create(CultureInfo.InvariantCulture,
            $"{_target.Name} {_watch.Elapsed:hh\\:mm\\:ss} execs {executions} exec/s {rate:F0} corpus {jobs.Max(j => j.Journal.Corpus)}"
            + $" edges {jobs.Max(j => j.Edges)} sites {_findings.Sites.Count} deaths {_deaths} hangs {_hangs}");
        if (Console.IsErrorRedirected)
            Console.Error.WriteLine(line);
        else
            Console.Error.Write($"\r{line}\e[K{(last ? "\n" : "")}");
    }
}

/// <summary>What a run was asked for.</summary>
public sealed record CampaignOptions
{
    /// <summary>The repository.</summary>
    public required string Root { get; init; }

    public TimeSpan Duration { get; init; } = TimeSpan.FromMinutes(30);

    public int Jobs { get; init; } = 1;

    public ulong Seed { get; init; } = 1;

    /// <summary>Ends the run early once there are this many different failures.</summary>
    public int StopAtSites { get; init; } = int.MaxValue;

    /// <summary>An input that takes more CPU time hangs; so does one that sleeps twelve times as long.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);
}
