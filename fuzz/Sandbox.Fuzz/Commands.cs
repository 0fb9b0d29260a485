using System.Diagnostics;
using System.Globalization;
using Sandbox.Fuzz.Engine;
using SharpFuzz;

namespace Sandbox.Fuzz;

/// <summary>The command line: fuzz/run.</summary>
static class Commands
{
    private const string Usage = """
        usage: fuzz/run TARGET [--time 30m] [--jobs N] [--seed N] [--timeout 10s]   look for failures
               fuzz/run TARGET FILE                                                run one input
               fuzz/run TARGET --minimize FILE                                     make a failing input smaller
               fuzz/run TARGET --check                                             run the committed corpus
               fuzz/run TARGET --report                                            say what all known inputs reach
               fuzz/run TARGET --seed-corpus                                       write the hand-made inputs
               fuzz/run TARGET --afl                                               print how to use AFL++ instead
               fuzz/run --coverage FOLDER,... TARGET... [--least PERCENT] [--add]   say which lines corpora reach
               fuzz/run list                                                       name the targets
        status: 0 nothing found, 1 findings, 2 usage, 3 no coverage, or too little
        """;

    /// <summary>Longer words are errors to AFL++.</summary>
    private const int AflLongestWord = 128;

    public static int With(string name, Func<FuzzTarget, int> action)
    {
        if (TargetList.Create(name) is { } target)
            return action(target);
        Console.Error.WriteLine($"no target named {name}; there are: {string.Join(", ", TargetList.Names)}");
        return WorkerExit.Usage;
    }

    public static int Run(string[] args)
    {
        if (args is ["list"])
        {
            foreach (string name in TargetList.Names)
                Console.WriteLine($"{name,-12} {TargetList.Create(name)!.Summary}");
            return 0;
        }
        if (args is ["--coverage", var folders, _, ..])
            return LineCoverage.Run(FindRoot(), folders, args[2..]);
        if (args.Length == 0 || args[0].StartsWith('-'))
        {
            Console.Error.WriteLine(Usage);
            return WorkerExit.Usage;
        }
        string root = FindRoot();
        return With(args[0], target =>
        {
            CampaignPaths paths = CampaignPaths.For(root, target.Name);
            switch (args[1..])
            {
                case ["--minimize", var file]:
                    return Replay.Minimize(target, file);
                case ["--report"]:
                    return Replay.Report(target, paths);
                case ["--check"]:
                    return Check(target.Name, root);
                case ["--seed-corpus"]:
                    return WriteSeeds(target, paths);
                case ["--afl"]:
                    return PrintAfl(target, paths);
                case [var file] when !file.StartsWith('-'):
                    return Replay.File(target, file);
            }
            if (!TryParse(args[1..], root, out CampaignOptions options))
            {
                Console.Error.WriteLine(Usage);
                return WorkerExit.Usage;
            }
            return new Campaign(target, options, paths).Run();
        });
    }

    private static bool TryParse(string[] args, string root, out CampaignOptions options)
    {
        options = new CampaignOptions { Root = root };
        for (int i = 0; i < args.Length; i += 2)
        {
            if (i + 1 == args.Length)
                return false;
            string value = args[i + 1];
            switch (args[i])
            {
                case "--time" when TryParseTime(value, out TimeSpan time):
                    options = options with { Duration = time };
                    break;
                case "--timeout" when TryParseTime(value, out TimeSpan time):
                    options = options with { Timeout = time };
                    break;
                case "--jobs" when int.TryParse(value, CultureInfo.InvariantCulture, out int jobs) && jobs is > 0 and <= 256:
                    options = options with { Jobs = jobs };
                    break;
                case "--seed" when ulong.TryParse(value, CultureInfo.InvariantCulture, out ulong seed):
                    options = options with { Seed = seed };
                    break;
                default:
                    return false;
            }
        }
        return true;
    }

    /// <summary>90, 90s, 30m, 8h.</summary>
    private static bool TryParseTime(string text, out TimeSpan time)
    {
        time = default;
        if (text.Length == 0)
            return false;
        int unit = text[^1] switch { 's' => 1, 'm' => 60, 'h' => 3600, _ => 0 };
        string digits = unit == 0 ? text : text[..^1];
        if (!double.TryParse(digits, CultureInfo.InvariantCulture, out double value) || value is not (> 0 and < 1e6))
            return false;
        time = TimeSpan.FromSeconds(value * Math.Max(unit, 1));
        return true;
    }

    /// <summary>The corpus, in the instrumented copy.</summary>
    public static int Check(string name, string root)
    {
        using Process process = WorkerProcess.Start(Instrumentation.Prepare(), ["corpus", name, root], onErrorLine: null);
        process.WaitForExit();
        return process.ExitCode;
    }

    private static int WriteSeeds(FuzzTarget target, CampaignPaths paths)
    {
        Directory.CreateDirectory(paths.Seeds);
        foreach ((string name, byte[] input) in target.Seeds())
            File.WriteAllBytes(Path.Combine(paths.Seeds, $"seed-{name}"), input);
        return 0;
    }

    /// <summary>
    /// SharpFuzz's fork-server loop, for AFL++, which gives up when the process that it talks to dies: so that runs the
    /// target in another one.
    /// </summary>
    public static int Afl(FuzzTarget target, CoverageMap coverage)
    {
        Executor executor = new(target, coverage);
        Fuzzer.OutOfProcess.Run(stream =>
        {
            using MemoryStream input = new();
            stream.CopyTo(input);
            if (executor.Run(input.GetBuffer().AsSpan(0, (int)Math.Min(input.Length,
                target.MaximumLength))) is { } site)
                throw new EscapedException(site.Report);
        });
        return 0;
    }

    private static int PrintAfl(FuzzTarget target, CampaignPaths paths)
    {
        string program = Instrumentation.Prepare();
        string directory = Path.GetDirectoryName(paths.Queue)!;
        Directory.CreateDirectory(directory);
        string dictionary = Path.Combine(directory, "afl.dictionary");
        File.WriteAllLines(dictionary, target.Dictionary.Where(static word => word.Length <= AflLongestWord).Select(
            static word => $"\"{string.Concat(word.Select(static b => $"\\x{b:x2}"))}\""));
        Console.WriteLine(
            $"AFL_SKIP_BIN_CHECK=1 AFL_MAP_SIZE=65536 afl-fuzz -t 5000 -m none -x {dictionary} -i {paths.Seeds} "
            + $"-o {Path.Combine(directory, "afl")} -- dotnet exec {program} afl {target.Name}");
        return 0;
    }

    /// <summary>The repository that this program was built in.</summary>
    public static string FindRoot()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, "Sandbox.sln")))
                return at.FullName;
        throw new InvalidOperationException("this program is not inside its repository");
    }
}
