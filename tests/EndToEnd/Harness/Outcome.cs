using System.Text;

namespace Sandbox.EndToEnd.Harness;

/// <summary>How a program ended and what it wrote.</summary>
/// <param name="Status">The exit status, or 128 plus the number of the signal that killed it.</param>
/// <param name="Cpu">CPU time of the program and all that it waited for.</param>
/// <param name="TimedOut">The harness's own limit ended it: the status means nothing.</param>
/// <param name="Left">Processes it left behind, described; empty when clean.</param>
sealed record Outcome(
    string Command, int Status, byte[] Output, byte[] Error, TimeSpan Wall, TimeSpan Cpu, bool TimedOut,
    IReadOnlyList<string> Left)
{
    public string Text => Encoding.UTF8.GetString(Output);
    public string ErrorText => Encoding.UTF8.GetString(Error);

    public override string ToString() =>
        $"""
        $ {Command}
        {(TimedOut ? "did not end in time" : $"status {Status}")} after {Wall.TotalMilliseconds:F0} ms, {Cpu.TotalMilliseconds:F0} ms of CPU time
        stdout ({Output.Length} bytes): {Difference.Shorten(Text)}
        stderr ({Error.Length} bytes): {Difference.Shorten(ErrorText)}
        """;
}
