using System.Security.Cryptography;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>stdin, stdout and stderr pass through unchanged, whatever they are.</summary>
public sealed class StreamTests
{
    [Fact]
    public void Every_byte_value_passes_through()
    {
        byte[] input = [.. Enumerable.Range(0, 256 * 300).Select(i => (byte)(i ^ (i >> 8)))];
        Outcome outcome = SandboxRun.Run([], ["cat"], input).Ended(0);
        Assert.Equal(input, outcome.Output);
        Assert.Empty(outcome.Error);
    }

    [Fact]
    public void Output_without_a_newline_stays_without() =>
        Assert.Equal("no newline", SandboxRun.Run([], ["printf", "no newline"]).Ended(0).Text);

    [Fact]
    public void Stdout_and_stderr_stay_apart()
    {
        Outcome outcome = SandboxRun.Run([], ["sh", "-c", "echo out; echo err >&2; echo out again"]).Ended(0);
        Assert.Equal("out\nout again\n", outcome.Text);
        Assert.Equal("err\n", outcome.ErrorText);
    }

    [Fact]
    public void Empty_stdin_is_end_of_file() => Assert.Equal("0\n", SandboxRun.Run([], ["wc", "-c"], []).Ended(0).Text);

    [Fact]
    public void A_reader_that_leaves_is_noticed()
    {
        // The guest's own `yes` gets SIGPIPE from the guest's own pipe.
        Outcome outcome = SandboxRun.Run([], ["sh", "-c", "yes | head -n 2"]).Ended(0);
        Assert.Equal("y\ny\n", outcome.Text);
    }

    [Fact]
    public void A_closed_stdout_ends_the_writer()
    {
        SandboxRun.Need();
        // The host's pipe loses its reader: what the guest writes then fails as natively.
        Outcome native = Native.Run(["bash", "-c", "set -o pipefail; yes | head -c 100 | wc -c"], "/");
        Outcome outcome = Shell("set -o pipefail; \"$SANDBOX\" run -- yes | head -c 100 | wc -c");
        Assert.Equal(native.Text, outcome.Text);
        Assert.Equal(141, outcome.Status);
    }

    [Fact]
    public void Files_as_streams_keep_their_offsets()
    {
        SandboxRun.Need();
        Outcome outcome = Shell(
            "printf '1\\n2\\n3\\n4\\n' > in; exec < in; head -c 2; \"$SANDBOX\" run -- head -c 2; cat; "
            + "echo start > out; \"$SANDBOX\" run -- echo appended >> out; cat out; "
            + "echo long content > over; \"$SANDBOX\" run -- echo x 1<> over; cat over");
        Assert.Equal("1\n2\n3\n4\nstart\nappended\nx\nng content\n", outcome.Text);
    }

    [Fact]
    public void Closed_streams_stay_closed_in_the_guest()
    {
        SandboxRun.Need();
        const string count = "for n in 0 1 2; do if [ -e /proc/self/fd/$n ]; then echo $n >&2; fi; done";
        Assert.Equal("2\n", Shell($"\"$SANDBOX\" run -- sh -c '{count}' <&- >&-").Ended(0).ErrorText);
    }

    /// <summary>1 GiB through cat: every byte arrives, and the VMM never holds more than a little of it.</summary>
    [Fact]
    public void One_GiB_streams_through_cat_without_being_held_in_memory()
    {
        SandboxRun.Need();
        const long Total = 1L << 30;
        using var stdin = new Pipe();
        using var stdout = new Pipe();
        string folder = Case.NewFolder("stream");
        using var sent = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        using var received = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        ChildProcess child = ChildProcess.Start(new ChildOptions
        {
            Path = Ring.Sandbox,
            Arguments = [Ring.Sandbox, "run", "--timeout", "300s", "--", "cat"],
            Environment = SandboxRun.Environment(folder),
            Directory = folder,
            Stdin = stdin.ReadEnd,
            Stdout = stdout.WriteEnd,
        });
        stdin.CloseRead();
        stdout.CloseWrite();
        long arrived = 0;
        stdout.Drain(block =>
        {
            received.AppendData(block.Span);
            arrived += block.Length;
        });
        stdin.Feed(Blocks(Total, sent));
        long peak = 0;
        while (!child.Ended)
        {
            foreach (ProcessRow row in ProcessTable.Tree(child.Pid))
                peak = Math.Max(peak, ProcessTable.StatusKilobytes(row.Pid, "VmHWM"));
            Thread.Sleep(100);
        }

        Assert.True(child.Wait(TimeSpan.FromSeconds(300)));
        Assert.True(stdout.Join(TimeSpan.FromSeconds(10)) && stdin.Join(TimeSpan.FromSeconds(10)));
        child.EndGroup();
        Assert.Equal(0, child.Status);
        Assert.Equal(Total, arrived);
        Assert.Equal(sent.GetHashAndReset(), received.GetHashAndReset());
        Assert.True(peak is > 0 and < 192 << 10, $"the VMM's memory rose to {peak >> 10} MiB");
    }

    static IEnumerable<ReadOnlyMemory<byte>> Blocks(long total, IncrementalHash hash)
    {
        byte[] block = new byte[65536];
        new Random(1).NextBytes(block);
        for (long sent = 0; sent < total; sent += block.Length)
        {
            BitConverter.TryWriteBytes(block.AsSpan(0, 8), sent);
            hash.AppendData(block);
            yield return block;
        }
    }

    static Outcome Shell(string script)
    {
        string folder = Case.NewFolder("shell");
        return Native.Run(["bash", "-c", script], folder,
            environment: new Dictionary<string, string> { ["SANDBOX"] = Ring.Sandbox });
    }
}
