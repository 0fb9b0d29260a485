using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;

namespace Sandbox.Supervisor.PolicyTools;

/// <summary>
/// <c>sandbox policy fmt</c>: prints files in canonical layout, says what would change, or changes them.
/// </summary>
static class FormatTool
{
    /// <param name="check">Change nothing, and fail if anything would change.</param>
    /// <param name="write">Change the files.</param>
    public static int Run(string[] files, bool check, bool write)
    {
        if (check && write)
            throw new UsageException("policy fmt: --check changes nothing and --write does; give one of them");
        int status = 0;
        foreach (string file in files)
        {
            var diagnostics = new Diagnostics();
            SourceText source = new PolicyOpener().ReadGiven(file, out string problem)
                ?? throw new UsageException($"policy: {Quote.Value(file)} {problem}");
            if (PolicyFormat.Format(source, diagnostics) is not string text)
            {
                StandardStreams.WriteText(DiagnosticReports.Human(diagnostics.List, diagnostics.Dropped));
                status = PolicyTool.Wrong;
                continue;
            }

            bool same = text == source.Content;
            if (check && !same)
                status = Math.Max(status, PolicyTool.No);
            if (write && !same)
                TextFile.Write(file, text);
            string output = check ? LineDifference.Human(file, source.Content, text) : write ? "" : text;
            if (PolicyTool.Print(output, 0) is not 0 and int failed)
                return failed;
        }

        return status;
    }
}
