using System.CommandLine;
using System.Text;
using System.Text.Json;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.PolicyTools;

namespace Sandbox.Supervisor.Kernels;

/// <summary>
/// The verbs of <c>sandbox kernel</c>. Exit status of check, as of <c>policy check</c>: 0 good, 1 something that guests
/// with --root need is missing, 3 no guest can start from it.
/// </summary>
static class KernelTool
{
    const string Installed = "/boot";

    /// <exception cref="UsageException">What was named is not there, or cannot be used.</exception>
    /// <exception cref="HostException">The host refused.</exception>
    public static int Run(KernelCommand model, ParseResult parsed)
    {
        Command verb = parsed.CommandResult.Command;
        if (verb == model.Check)
            return Check(parsed.GetRequiredValue(model.Files), parsed.GetValue(model.Json));
        if (verb == model.List)
            return List(KernelStore.Own, Installed, parsed.GetValue(model.Json));
        if (verb == model.Add)
            return PolicyTool.Print(
                $"{KernelStore.Own.Add(parsed.GetRequiredValue(model.Source), parsed.GetValue(model.KeptName))}\n", 0);
        KernelStore.Own.Remove(parsed.GetRequiredValue(model.Kept));
        return 0;
    }

    static int Check(string[] kernels, bool json)
    {
        var reports = new List<KernelReport>();
        foreach (string kernel in kernels)
        {
            string path = KernelStore.PathOf(kernel);
            using FileDescriptor file = KernelStore.OpenKernel("kernel check", path);
            reports.Add(KernelReport.Of(path, path == kernel ? null : kernel, file));
        }

        int status = reports.Exists(report => report.IsWrong) ? PolicyTool.Wrong
            : reports.TrueForAll(report => report.IsGood) ? 0 : PolicyTool.No;
        return PolicyTool.Print(json ? Json(reports) : string.Concat(reports.Select(report => report.Human())), status);
    }

    /// <param name="installed">The folder of the host's kernels.</param>
    internal static int List(KernelStore store, string installed, bool json)
    {
        var reports = new List<KernelReport>();
        foreach (string path in Readable(() => KernelStore.FilesIn(installed)))
            reports.AddRange(Readable<KernelReport>(() => [Report(path, null)]));
        foreach (string name in Readable(() => store.Names))
            reports.AddRange(Readable<KernelReport>(() => store.FileOf(name) is string path ? [Report(path, name)] : []));
        return PolicyTool.Print(json ? Json(reports) : Table(reports), 0);
    }

    static KernelReport Report(string path, string? name)
    {
        using FileDescriptor file = KernelStore.OpenKernel("kernel list", path);
        return KernelReport.Of(path, name, file);
    }

    /// <summary>Debian's kernels are readable by everybody; others' may not be, nor their folder.</summary>
    static IReadOnlyList<T> Readable<T>(Func<IReadOnlyList<T>> read)
    {
        try
        {
            return read();
        }
        catch (UsageException failure)
        {
            StandardStreams.WriteError(failure.Message);
            return [];
        }
    }

    static string Table(List<KernelReport> reports)
    {
        List<string[]> rows = [["KERNEL", "VERSION", "GUESTS"], .. reports.Select(Row)];
        int[] widths = [.. Enumerable.Range(0, rows[0].Length).Select(column => rows.Max(row => row[column].Length))];
        var text = new StringBuilder();
        foreach (string[] row in rows)
            text.Append(string.Join("  ", row.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd())
                .Append('\n');
        return text.ToString();
    }

    static string[] Row(KernelReport report) =>
    [
        report.Name ?? Quote.Printable(report.Path), report.Kernel.Version ?? "-",
        report.Kernel.Problem
            ?? (report.IsGood ? "good" : report.Modules is null ? "no modules found" : $"without {Missing(report)}"),
    ];

    static string Missing(KernelReport report) =>
        string.Join(", ",
            report.Needed.Where(module => module.State == Machine.ModuleState.Missing).Select(module => module.Name));

    static string Json(List<KernelReport> reports)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartArray();
            foreach (KernelReport report in reports)
                report.Write(json);
            json.WriteEndArray();
        }

        return Encoding.UTF8.GetString(buffer.ToArray()) + '\n';
    }
}
