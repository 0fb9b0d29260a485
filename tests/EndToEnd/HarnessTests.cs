using System.Text;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>The harness itself: a comparison that cannot fail proves nothing.</summary>
public sealed class HarnessTests
{
    [Fact]
    public void Equal_outputs_have_no_difference() =>
        Assert.Null(Difference.Between("a\nb\n"u8.ToArray(), "a\nb\n"u8.ToArray()));

    [Fact]
    public void A_difference_shows_both_sides()
    {
        string? text = Difference.Between("a\nb\nc\n"u8.ToArray(), "a\nx\nc\n"u8.ToArray());
        Assert.NotNull(text);
        Assert.Contains("- b", text);
        Assert.Contains("+ x", text);
        Assert.DoesNotContain("- c", text);
    }

    [Fact]
    public void A_missing_newline_is_a_difference() =>
        Assert.NotNull(Difference.Between("a\n"u8.ToArray(), "a"u8.ToArray()));

    [Theory]
    [InlineData("exit 7", 7)]
    [InlineData("kill -TERM $$", 143)]
    [InlineData("kill -KILL $$", 137)]
    public void Statuses_are_reported(string script, int status) =>
        Assert.Equal(status, Native.Run(["sh", "-c", script], "/").Status);

    [Fact]
    public void Streams_are_kept_apart_and_byte_exact()
    {
        byte[] input = [.. Enumerable.Range(0, 256).Select(i => (byte)i)];
        Outcome outcome = Native.Run(["sh", "-c", "cat; echo error >&2"], "/", input);
        Assert.Equal(input, outcome.Output);
        Assert.Equal("error\n", outcome.ErrorText);
    }

    [Fact]
    public void A_program_that_does_not_end_is_ended()
    {
        Outcome outcome = Native.Run(["sleep", "60"], "/", timeout: TimeSpan.FromMilliseconds(100));
        Assert.True(outcome.TimedOut);
        Assert.True(outcome.Wall < TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void Children_start_with_default_signal_actions() =>
        Assert.Equal("0000000000000000", Native.Run(["sh", "-c", "sed -n 's/^SigIgn:.//p' /proc/self/status"], "/").Text.Trim());

    [Fact]
    public void A_process_left_behind_is_found()
    {
        IReadOnlyList<string> left = [];
        Capture.Run("/bin/sh", ["sh", "-c", "sleep 30 >/dev/null 2>&1 & until grep -q sleep /proc/$!/comm; do :; done"], [$"PATH={Tool.SearchPath}"], "/", null,
            TimeSpan.FromSeconds(10), child => left = [.. ProcessTable.LeftBehind(child.Pid, TimeSpan.Zero).Select(row => row.Name)]);
        Assert.Equal(["sleep"], left);
    }

    [Fact]
    public void Folder_listings_tell_contents_and_modes()
    {
        string folder = Case.NewFolder("listing");
        File.WriteAllText(Path.Combine(folder, "file"), "x");
        File.CreateSymbolicLink(Path.Combine(folder, "link"), "file");
        string text = Encoding.UTF8.GetString(FolderListing.Of(folder));
        Assert.Contains("link -> file", text);
        File.WriteAllText(Path.Combine(folder, "file"), "y");
        Assert.NotEqual(text, Encoding.UTF8.GetString(FolderListing.Of(folder)));
    }
}
