using System.Reflection;
using System.Text.RegularExpressions;
using Sandbox.Policy.Contract;
using Xunit;

namespace Sandbox.Vmm.Tests.Virtio.Proof;

/// <summary>docs/virtio.md says what the tests say, and no row is without its test.</summary>
public sealed partial class VirtioDocumentTests
{
    private static string File => Path.Combine(VirtioDocument.Root(), VirtioDocument.Page);

    [Fact]
    public void The_page_is_up_to_date()
    {
        if (Environment.GetEnvironmentVariable("SANDBOX_WRITE_VIRTIO_TABLE") is not null)
            System.IO.File.WriteAllText(File, VirtioDocument.Write());
        Assert.True(
            System.IO.File.Exists(File) && System.IO.File.ReadAllText(File) == VirtioDocument.Write(),
            "write it again: SANDBOX_WRITE_VIRTIO_TABLE=1 ./test --filter VirtioDocument");
    }

    [Fact]
    public void Every_requirement_has_its_test_and_every_test_a_row() =>
        CheckRows(VirtioRequirements.All, VirtioDocument.Requirements);

    [Fact]
    public void Every_flaw_has_its_test_and_every_test_a_row() =>
        CheckRows([.. KnownFlaws.Published, .. KnownFlaws.Classes], VirtioDocument.Flaws);

    [Fact]
    public void Every_flaw_that_is_known_is_tried()
    {
        Assert.Equal(KnownFlaws.Wanted.Order(), KnownFlaws.Published.Select(row => row.Name).Order());
        Assert.All(KnownFlaws.Published, row => Assert.Null(row.Without));
    }

    [Fact]
    public void What_names_a_row_is_a_test() => Assert.All(
        Assembly.GetExecutingAssembly().GetTypes().SelectMany(type => type.GetMethods())
            .Where(method => method.IsDefined(typeof(RequirementAttribute)) || method.IsDefined(typeof(FlawAttribute))),
        method => Assert.True(method.IsDefined(typeof(FactAttribute), true), method.Name));

    [Fact]
    public void What_flaws_count_as_is_counted()
    {
        string[] known =
        [
            "-", .. DeviceCounters.QueueFaults, .. DeviceCounters.RegisterFaults,
            .. Enum.GetValues<VirtioKind>().SelectMany(DeviceCounters.Of),
            .. Guests().Matches(System.IO.File.ReadAllText(Path.Combine(VirtioDocument.Root(), "docs/metrics.md")))
                .Select(name => name.Value),
        ];
        foreach (TableRow row in (TableRow[])[.. KnownFlaws.Published, .. KnownFlaws.Classes])
        {
            Assert.True(row.Counts.Length > 0 == row.Without is null, row.Name);
            Assert.Subset(known.ToHashSet(), row.Counts.Split(' ', StringSplitOptions.RemoveEmptyEntries).ToHashSet());
        }
    }

    [GeneratedRegex("sandbox_guest_[a-z_]+")]
    private static partial Regex Guests();

    private static void CheckRows(IReadOnlyList<TableRow> rows, ILookup<string, string> tests)
    {
        Assert.Equal(rows.Count, rows.DistinctBy(row => row.Name).Count());
        string[] unproven =
            [.. rows.Where(row => row.Without is null && !tests[row.Name].Any()).Select(row => row.Name)];
        string[] needless =
            [.. rows.Where(row => row.Without is not null && tests[row.Name].Any()).Select(row => row.Name)];
        string[] unknown = [.. tests.Select(group => group.Key).Except(rows.Select(row => row.Name))];
        Assert.True(unproven.Length == 0, $"no test proves {string.Join(", ", unproven)}");
        Assert.True(needless.Length == 0, $"tests prove what is said not to apply: {string.Join(", ", needless)}");
        Assert.True(unknown.Length == 0, $"tests name rows that are not there: {string.Join(", ", unknown)}");
    }
}
