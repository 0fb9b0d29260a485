using System.Reflection;
using System.Text;

namespace Sandbox.Vmm.Tests.Virtio.Proof;

/// <summary>docs/virtio.md, as the tables and the tests that name their rows say.</summary>
static class VirtioDocument
{
    public const string Path = "docs/virtio.md";

    /// <summary>Tests by the row that they prove.</summary>
    public static ILookup<string, string> Requirements { get; } = Tests<RequirementAttribute>(proof => proof.Row);

    public static ILookup<string, string> Flaws { get; } = Tests<FlawAttribute>(proof => proof.Row);

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

            What was wrong elsewhere, and the counts of a device that show that it was tried: `sandbox_device_*` in
            `docs/metrics.md`, of which the faults of queues and of registers have these names as labels.

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
            .ToLookup(proof => proof.Row, proof => Name(proof.Method));

    private static string Name(MethodInfo method) => $"{method.DeclaringType!.Name}.{method.Name}";
}
