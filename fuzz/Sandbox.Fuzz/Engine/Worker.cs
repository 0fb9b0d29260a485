using System.Diagnostics;

namespace Sandbox.Fuzz.Engine;

/// <summary>One process of a campaign: takes inputs, changes them, runs them, keeps those that reach new code.</summary>
public sealed class Worker
{
    private const int MutationsPerPick = 256;
    private static readonly TimeSpan SyncInterval = TimeSpan.FromSeconds(5);

    private readonly FuzzTarget _target;
    private readonly Journal _journal;
    private readonly Corpus _corpus;
    private readonly Findings _findings;
    private readonly CoverageMap _coverage;
    private readonly Executor _executor;
    private readonly FuzzRandom _random;
    private readonly Mutator _mutator;

    public Worker(FuzzTarget target, CampaignPaths paths, string journal, ulong seed, CoverageMap coverage)
    {
        _target = target;
        _coverage = coverage;
        _journal = new Journal(journal, target.MaximumLength);
        _corpus = new Corpus(paths.Seeds, paths.Queue);
        _findings = new Findings(paths.Findings);
        _executor = new Executor(target, _coverage);
        _random = new FuzzRandom(seed);
        _mutator = new Mutator(_random, target.Dictionary, target.MaximumLength, target.RecordLength);
    }

    /// <summary>Runs until the deadline; 0 when the instrumentation showed any coverage at all.</summary>
    public int Run(TimeSpan duration)
    {
        Stopwatch watch = Stopwatch.StartNew();
        // Static constructors and the like run once and would look like coverage of the first input.
        Execute([]);
        Execute([]);
        Import();
        if (_corpus.Count == 0)
            _corpus.Add([]);
        TimeSpan nextSync = SyncInterval;
        while (watch.Elapsed < duration)
        {
            byte[] entry = _corpus.Pick(_random);
            for (int i = 0; i < MutationsPerPick; i++)
            {
                ReadOnlySpan<byte> input = _mutator.Mutate(entry, _corpus.Pick(_random));
                if (!Execute(input))
                    continue;
                byte[] kept = input.ToArray();
                _corpus.Add(kept);
                _corpus.Share(kept);
                _journal.Corpus = _corpus.Count;
            }
            if (watch.Elapsed < nextSync)
                continue;
            Import();
            nextSync = watch.Elapsed + SyncInterval;
        }
        return _coverage.Edges == 0 ? WorkerExit.NoCoverage : 0;
    }

    private void Import()
    {
        foreach (byte[] input in _corpus.ReadNew())
            if (input.Length <= _target.MaximumLength && Execute(input))
                _corpus.Add(input);
        _journal.Corpus = _corpus.Count;
    }

    /// <summary>True when the input reached something new and nothing was wrong.</summary>
    private bool Execute(ReadOnlySpan<byte> input)
    {
        _journal.Begin(input);
        CrashSite? site = _executor.Run(input);
        bool isNew = _coverage.Merge();
        _journal.End();
        if (isNew)
            _journal.Edges = _coverage.Edges;
        if (site is null)
            return isNew;
        _findings.Add(site, input);
        return false;
    }
}

/// <summary>Exit statuses of a worker beyond 0.</summary>
public static class WorkerExit
{
    public const int Finding = 1;
    public const int Usage = 2;
    public const int NoCoverage = 3;
}

/// <summary>Where one target's files are.</summary>
/// <param name="Seeds">Committed inputs.</param>
/// <param name="Queue">Inputs that this machine's campaigns found; not committed.</param>
/// <param name="Findings">One directory for each site.</param>
public sealed record CampaignPaths(string Seeds, string Queue, string Findings)
{
    public static CampaignPaths For(string root, string target) => new(
        Path.Combine(root, "fuzz", "corpus", target),
        Path.Combine(root, "fuzz", "findings", target, "queue"),
        Path.Combine(root, "fuzz", "findings", target, "sites"));
}
