using System.Diagnostics;
using System.Text;

namespace Sandbox.Fuzz.Engine;

/// <summary>Running known inputs: one file, a whole corpus, or a failing one that is to become smaller.</summary>
public static class Replay
{
    /// <summary>Runs one file in this process, without protection: a debugger sees what the campaign saw.</summary>
    public static int File(FuzzTarget target, string path)
    {
        Executor executor = new(target, CoverageMap.Installed);
        CrashSite? site = executor.Run(System.IO.File.ReadAllBytes(path));
        if (site is null)
        {
            Console.WriteLine($"{path}: {(executor.Decoded ? "handled" : "refused at once")}, nothing wrong");
            return 0;
        }
        Console.WriteLine($"{path}: {site.Id}\n{site.Report}");
        return WorkerExit.Finding;
    }

    /// <summary>
    /// Runs every file of the corpus. Fails on any finding, on a seed that no longer gets past the first checks, and
    /// without coverage; run in the instrumented copy.
    /// </summary>
    public static int Corpus(FuzzTarget target, CampaignPaths paths, CoverageMap coverage)
    {
        string[] files = Directory.Exists(paths.Seeds) ? [.. Directory.GetFiles(paths.Seeds).Order(StringComparer.Ordinal)] : [];
        if (files.Length == 0)
        {
            Console.WriteLine($"{target.Name}: no corpus in {paths.Seeds}");
            return WorkerExit.Finding;
        }
        Executor executor = new(target, coverage);
        int bad = 0, decoded = 0;
        foreach (string file in files)
        {
            CrashSite? site = executor.Run(System.IO.File.ReadAllBytes(file));
            coverage.Merge();
            decoded += executor.Decoded ? 1 : 0;
            if (site is not null)
                Console.WriteLine($"{file}: {site.Id}\n{site.Report}");
            else if (!executor.Decoded && IsSeed(file))
                Console.WriteLine($"{file}: no longer decodes");
            else
                continue;
            bad++;
        }
        Console.WriteLine(
            $"{target.Name}: {files.Length} inputs, {decoded} decoded, {coverage.Edges} edges, {bad} bad");
        if (coverage.Edges == 0)
        {
            Console.WriteLine($"{target.Name}: no coverage");
            return WorkerExit.NoCoverage;
        }
        return bad == 0 ? 0 : WorkerExit.Finding;
    }

    /// <summary>What the committed inputs and those that campaigns have queued reach.</summary>
    public static int Report(FuzzTarget target, CampaignPaths paths)
    {
        Executor executor = new(target, CoverageMap.Installed);
        int inputs = 0;
        foreach (string directory in new[] { paths.Seeds, paths.Queue }.Where(Directory.Exists))
            foreach (string file in Directory.GetFiles(directory))
            {
                executor.Run(System.IO.File.ReadAllBytes(file));
                inputs++;
            }
        Console.WriteLine($"{target.Name}: {inputs} inputs\n{target.Report()}");
        return 0;
    }

    /// <summary>Hand-made inputs are named seed-*; what campaigns found is named by content.</summary>
    private static bool IsSeed(string file) => Path.GetFileName(file).StartsWith("seed-", StringComparison.Ordinal);

    /// <summary>Writes the smallest input that fails at the same site beside the file.</summary>
    public static int Minimize(FuzzTarget target, string path)
    {
        byte[] input = System.IO.File.ReadAllBytes(path);
        string? id = SiteOf(target, path, input);
        if (id is null)
        {
            Console.WriteLine($"{path}: nothing wrong with it");
            return WorkerExit.Usage;
        }
        // What kills the process must be tried in others, which takes a tenth of a second each.
        bool outside = id.StartsWith("died", StringComparison.Ordinal) || id.StartsWith("hang", StringComparison.Ordinal);
        Executor executor = new(target, CoverageMap.Installed);
        byte[] best = Minimizer.Minimize(input, candidate => outside
            ? RunOutside(target, candidate) == id
            : executor.Run(candidate)?.Id == id);
        string result = path + ".min";
        System.IO.File.WriteAllBytes(result, best);
        Console.WriteLine($"{result}: {best.Length} bytes of {input.Length}, {id}");
        return 0;
    }

    private static string? SiteOf(FuzzTarget target, string path, byte[] input) => RunOutside(target, input, path);

    /// <summary>The site's id, or null.</summary>
    private static string? RunOutside(FuzzTarget target, byte[] input, string? path = null)
    {
        TimeSpan limit = TimeSpan.FromSeconds(10);
        string file = path ?? Path.GetTempFileName();
        if (path is null)
            System.IO.File.WriteAllBytes(file, input);
        try
        {
            StringBuilder errors = new();
            string program = typeof(Replay).Assembly.Location;
            using Process process = WorkerProcess.Start(
                program, ["site", target.Name, file], line => WorkerProcess.Keep(errors, line));
            if (!process.WaitForExit(limit))
            {
                process.Kill();
                process.WaitForExit();
                return CrashSite.OfHang(limit).Id;
            }
            process.WaitForExit();
            if (process.ExitCode == 0)
                return null;
            string text = errors.ToString();
            const string marker = "site: ";
            int at = text.IndexOf(marker, StringComparison.Ordinal);
            return process.ExitCode == WorkerExit.Finding && at >= 0
                ? text[(at + marker.Length)..].Split('\n')[0].Trim()
                : CrashSite.OfDeath(process.ExitCode, text).Id;
        }
        finally
        {
            if (path is null)
                System.IO.File.Delete(file);
        }
    }

    /// <summary>What <see cref="RunOutside"/> starts.</summary>
    public static int Site(FuzzTarget target, string path, CoverageMap coverage)
    {
        CrashSite? site = new Executor(target, coverage).Run(System.IO.File.ReadAllBytes(path));
        if (site is null)
            return 0;
        Console.Error.WriteLine($"site: {site.Id}");
        return WorkerExit.Finding;
    }
}
