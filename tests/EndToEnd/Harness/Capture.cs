namespace Sandbox.EndToEnd.Harness;

/// <summary>Runs a child to its end with its three streams connected to memory.</summary>
static class Capture
{
    /// <summary>More than any test's output; a child that writes more is drained but not remembered.</summary>
    public const int MaximumRemembered = 64 << 20;

    public static Outcome Run(
        string path, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, string directory,
        byte[]? input, TimeSpan timeout, Func<ChildProcess, IReadOnlyList<string>> leftovers,
        Action<ChildProcess>? whileRunning = null)
    {
        using var stdin = new Pipe();
        using var stdout = new Pipe();
        using var stderr = new Pipe();
        var output = new MemoryStream();
        var error = new MemoryStream();
        ChildProcess child = ChildProcess.Start(new ChildOptions
        {
            Path = path,
            Arguments = arguments,
            Environment = environment,
            Directory = directory,
            Stdin = input is null ? -1 : stdin.ReadEnd,
            Stdout = stdout.WriteEnd,
            Stderr = stderr.WriteEnd,
        });
        stdin.CloseRead();
        stdout.CloseWrite();
        stderr.CloseWrite();
        if (input is not null)
            stdin.Feed([input]);
        else
            stdin.CloseWrite();
        stdout.Drain(block => Remember(output, block));
        stderr.Drain(block => Remember(error, block));
        whileRunning?.Invoke(child);
        bool ended = child.Wait(timeout);
        IReadOnlyList<string> left = leftovers(child);
        child.EndGroup();
        bool closed = stdout.Join(TimeSpan.FromSeconds(5)) & stderr.Join(TimeSpan.FromSeconds(5));
        if (!closed)
            left = [.. left, "a process that still holds an output stream"];
        lock (output)
            lock (error)
                return new Outcome(string.Join(' ', arguments.Select(Quote)), child.Status, output.ToArray(),
                    error.ToArray(), child.Wall, child.Cpu, !ended, left);
    }

    static void Remember(MemoryStream memory, ReadOnlyMemory<byte> block)
    {
        lock (memory)
            if (memory.Length < MaximumRemembered)
                memory.Write(block.Span);
    }

    static string Quote(string word) =>
        word.Length > 0 && word.All(c => char.IsAsciiLetterOrDigit(c) || "-_./=:,+@%".Contains(c))
            ? word
            : $"'{word.Replace("'", "'\\''")}'";
}
