using Sandbox.Filters;
using Sandbox.Gate;

// sandbox-filters OUTPUT.cs: makes the VMM's seccomp filters and writes them as C# source.
// sandbox-filters --unused FOLDER...: which rows recorded runs did not need, and what they needed that no row allows.
switch (args)
{
    case ["--unused", .. string[] folders]:
        return Report(folders);
    case [string output]:
        Write(output);
        return 0;
    default:
        Console.Error.WriteLine("usage: sandbox-filters OUTPUT.cs | --unused FOLDER...");
        return 2;
}

static void Write(string output)
{
    GeneratedSource source = new();
    foreach (Filter filter in Filter.All)
        source.Add("Sandbox.Vmm", $"{filter.Name}Filter", filter.Summary, FilterCompiler.Compile(filter.Rules));
    source.Add(
        "Sandbox.Vmm", "FilterPlaceholder", "What the VMM replaces in filters.", [], ("OwnPid", Condition.OwnPid));
    source.WriteIfChanged(output);
}

static int Report(string[] folders)
{
    TraceReport report = new();
    foreach (string folder in folders)
        report.Read(folder);
    foreach (Rule rule in report.Unused)
        Console.WriteLine($"unused: {rule.Name}: {rule.Reason}");
    foreach (string call in report.Forbidden)
        Console.WriteLine($"forbidden: {call}");
    return report.Forbidden.Any() ? 1 : 0;
}
