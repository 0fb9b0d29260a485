using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;

namespace Sandbox.Vmm.Tests.Virtio.Proof;

/// <summary>docs/virtio.md, as the tables and the tests that name their rows say.</summary>
static partial class VirtioDocument
{
    public const string Page = "docs/virtio.md";

    /// <summary>Tests by the row that they prove.</summary>
    public static ILookup<string, string> Requirements { get; } = Tests<RequirementAttribute>(proof => proof.Row);

    /// <summary>Those of the supervisor's tests too, which are read in their sources: they are another program.</summary>
    public static ILookup<string, string> Flaws { get; } = Tests<FlawAttribute>(proof => proof.Row)
        .SelectMany(row => row.Select(test => (Row: row.Key, Test: test)))
        .Concat(Written(Path.Combine(Root(), "tests/Supervisor.Tests")))
        .ToLookup(proof => proof.Row, proof => proof.Test);

    public static string Write()
    {
        int proven = VirtioRequirements.All.Count(row => row.Without is null);
        StringBuilder text = new($"""
            # Virtio devices: what is promised, and what proves it

            Written by `SANDBOX_WRITE_VIRTIO_TABLE=1 ./test --filter VirtioDocument` from the tables in
            `tests/Vmm.Tests/Virtio/Proof` and from the tests that name their rows. A test fails when a row has no test,
            when a test names no row, and when this page says something else.

            ## Requirements

            What virtio 1.2 says that a device must or must not do, in our words, by section; letters are ours.
            Rows: {VirtioRequirements.All.Count}, of which {proven} are proven by tests of `tests/Vmm.Tests`; the others
            are about what is not offered. What a driver must not do is counted and ignored, or ends the device until it
            is reset; see below.

            | section | the device | proof |
            |---|---|---|

            """);
        foreach (TableRow row in VirtioRequirements.All)
            text.Append($"| {row.Name} | {row.Text} | {Proof(row, Requirements)} |\n");
        text.Append("""

            ## Published flaws

            What was wrong elsewhere, and the counts that show that it was tried: of a guest, `sandbox_guest_*` in
            `docs/metrics.md`, or of a device, `sandbox_device_*` there, of which the faults of queues and of registers have
            these names as labels. Tests are of `tests/Vmm.Tests` and `tests/Supervisor.Tests`. FC and CH are Firecracker's
            and Cloud Hypervisor's own numbers.

            | flaw | what happened | counted as | proof |
            |---|---|---|---|

            """);
        Append(text, KnownFlaws.Published);
        text.Append("""

            ## Classes of flaws

            | class | what a guest tries | counted as | proof |
            |---|---|---|---|

            """);
        Append(text, KnownFlaws.Classes);
        return text.ToString();
    }

    private static void Append(StringBuilder text, IReadOnlyList<TableRow> rows)
    {
        foreach (TableRow row in rows)
            text.Append($"| {row.Name} | {row.Text} | {row.Counts.Replace(" ", ", ", StringComparison.Ordinal)} ")
                .Append($"| {Proof(row, Flaws)} |\n");
    }

    private static string Proof(TableRow row, ILookup<string, string> tests) => row.Without is { } reason
        ? $"not applicable: {reason}"
        : string.Join(", ", tests[row.Name].Select(test => $"`{test}`"));

    private static ILookup<string, string> Tests<T>(Func<T, string> rowOf)
        where T : Attribute =>
        Assembly.GetExecutingAssembly().GetTypes()
            .SelectMany(type => type.GetMethods())
            .SelectMany(method => method.GetCustomAttributes<T>().Select(proof => (Row: rowOf(proof), Method: method)))
            .OrderBy(proof => Name(proof.Method), StringComparer.Ordinal)
            .DistinctBy(proof => (proof.Row, Name(proof.Method)))
            .ToLookup(proof => proof.Row, proof => Name(proof.Method));

    private static IEnumerable<(string Row, string Test)> Written(string folder) =>
        from file in Directory.GetFiles(folder, "*Tests.cs", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
        from Match proof in FlawOfMethod().Matches(File.ReadAllText(file))
        select (proof.Groups[1].Value, $"{Path.GetFileNameWithoutExtension(file)}.{proof.Groups[2].Value}");

    /// <summary>Up to the method that the attribute is on; others may come between.</summary>
    [GeneratedRegex("""\[Flaw\("([^"]+)"\)\](?=[^{;]*?\bpublic [\w ]+ (\w+)\()""")]
    private static partial Regex FlawOfMethod();

    /// <summary>The repository.</summary>
    public static string Root([CallerFilePath] string here = "") =>
        Path.GetFullPath("../../../..", Path.GetDirectoryName(here)!);

    private static string Name(MethodInfo method) => $"{method.DeclaringType!.Name}.{method.Name}";
}
