using System.Diagnostics;
using System.Globalization;

namespace Sandbox.Fuzz.Engine;

/// <summary>
/// Which lines the committed corpora reach: of files below some folders, those at which a statement begins. Corpora run
/// in a copy of this program whose VMM tells.
/// </summary>
static class LineCoverage
{
    private const string Assembly = "sandbox-vmm.dll";
    private const string PlacesName = "places";

    /// <summary>Makes the copy, runs the corpora in it and removes it.</summary>
    /// <param name="folders">Below the repository's root, parted by commas.</param>
    /// <param name="arguments">
    /// Names of targets; behind --least, the percentage that is wanted; --add to take over what campaigns found.
    /// </param>
    public static int Run(string root, string folders, IReadOnlyList<string> arguments)
    {
        string copy = Directory.CreateTempSubdirectory("fuzz-lines-").FullName;
        try
        {
            foreach (string file in Directory.GetFiles(AppContext.BaseDirectory))
                File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
            IReadOnlyList<(string File, int Line)> places = LineInstrumentation.Write(
                Path.Combine(AppContext.BaseDirectory, Assembly), Path.Combine(copy, Assembly));
            File.WriteAllLines(
                Path.Combine(copy, PlacesName),
                places.Select(place => $"{place.Line} {Path.GetRelativePath(root, place.File)}"));
            using Process process = WorkerProcess.Start(
                Path.Combine(copy, "Sandbox.Fuzz.dll"), ["lines", root, folders, .. arguments], onErrorLine: null);
            process.WaitForExit();
            return process.ExitCode;
        }
        finally
        {
            Directory.Delete(copy, recursive: true);
        }
    }

    /// <summary>In the copy: runs the corpora, and prints what they reached.</summary>
    public static int Report(string root, string folders, IReadOnlyList<string> arguments)
    {
        string[] chosen = [.. folders.Split(',').Select(folder => folder.TrimEnd('/') + "/")];
        IReadOnlyList<Line> lines = [.. Lines().Where(line => chosen.Any(line.IsBelow))];
        int wanted = 0;
        int bad = 0;
        bool adds = arguments.Contains("--add");
        for (int i = 0; i < arguments.Count; i++)
        {
            if (arguments[i] == "--least" && i + 1 < arguments.Count)
                wanted = int.Parse(arguments[++i], CultureInfo.InvariantCulture);
            else if (TargetList.Create(arguments[i]) is { } target)
                bad += RunAll(target, CampaignPaths.For(root, target.Name), adds ? lines : null);
            else if (arguments[i] != "--add")
                return WorkerExit.Usage;
        }
        foreach (IGrouping<string, Line> file in lines.GroupBy(line => line.File)
            .OrderBy(file => file.Key, StringComparer.Ordinal))
        {
            Line[] missing = [.. file.Where(line => !line.WasReached)];
            Console.WriteLine(Result(file.Count(), missing.Length, file.Key)
                + (missing.Length == 0 ? "" : $": not {string.Join(", ", missing.Select(line => line.Number))}"));
        }
        int reached = lines.Count(line => line.WasReached);
        Console.WriteLine(Result(lines.Count, lines.Count - reached, folders));
        if (bad > 0)
            return WorkerExit.Finding;
        return reached == 0 || 100 * reached < wanted * lines.Count ? WorkerExit.NoCoverage : 0;
    }

    private static string Result(int all, int missing, string where) =>
        $"{100.0 * (all - missing) / Math.Max(all, 1),6:f1} % {all - missing,4} of {all,4}  {where}";

    /// <summary>A line, and the probes of what begins there: it was reached when one of them was.</summary>
    private readonly record struct Line(string File, int Number, int[] Probes)
    {
        public bool WasReached => Probes.Any(LineProbe.WasHit);

        public bool IsBelow(string folder) => File.StartsWith(folder, StringComparison.Ordinal);
    }

    private static IEnumerable<Line> Lines() =>
        File.ReadLines(Path.Combine(AppContext.BaseDirectory, PlacesName))
            .Select((text, probe) => (Parts: text.Split(' ', 2), Probe: probe))
            .GroupBy(place => (File: place.Parts[1], Number: int.Parse(place.Parts[0], CultureInfo.InvariantCulture)))
            .Select(line => new Line(line.Key.File, line.Key.Number, [.. line.Select(place => place.Probe)]))
            .OrderBy(line => line.Number);

    /// <param name="lines">Null for the corpus alone; else what campaigns found is added that reaches more.</param>
    private static int RunAll(FuzzTarget target, CampaignPaths paths, IReadOnlyList<Line>? lines)
    {
        Executor executor = new(target, CoverageMap.Installed);
        int bad = 0;
        foreach (string file in Files(paths.Seeds))
        {
            if (executor.Run(File.ReadAllBytes(file)) is not { } site)
                continue;
            Console.WriteLine($"{file}: {site.Id}\n{site.Report}");
            bad++;
        }
        if (lines is null)
            return bad;
        // Short ones first: they are what somebody will read.
        foreach (string file in Files(paths.Queue).OrderBy(file => new FileInfo(file).Length))
        {
            int before = lines.Count(line => line.WasReached);
            if (executor.Run(File.ReadAllBytes(file)) is null && lines.Count(line => line.WasReached) > before)
                File.Copy(file, Path.Combine(paths.Seeds, Path.GetFileName(file)), overwrite: true);
        }
        return bad;
    }

    private static IEnumerable<string> Files(string folder) =>
        Directory.Exists(folder) ? Directory.GetFiles(folder).Order(StringComparer.Ordinal) : [];
}
