namespace Sandbox.Escape;

/// <summary>
/// A process of the caller's that a VMM must not reach, and a folder of his with a secret beside a granted folder.
/// </summary>
sealed class Victim : IDisposable
{
    static int s_count;

    readonly Pipe _stdin = new();
    readonly Pipe _stdout = new();
    readonly MemoryStream _said = new();
    readonly ChildProcess _process;
    readonly string _numbers;
    readonly string _name;

    /// <param name="prefix">Words before the program's own, to run it as somebody else.</param>
    public Victim(string[] prefix)
    {
        Folder = World.Current.NewFolder();
        Granted = Path.Combine(Folder, "granted");
        Directory.CreateDirectory(Granted);
        File.WriteAllText(Path.Combine(Granted, "in-the-granted-folder"), "x\n");
        File.WriteAllText(Path.Combine(Folder, "secret"), "CANARY\n");
        _name = $"hostile-{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}";
        string[] command = [.. prefix, Path.Combine(World.Current.Programs, "victim"), Folder, _name];
        _process = ChildProcess.Start(new ChildOptions
        {
            Path = command[0], Arguments = command, Environment = World.Variables(Folder), Directory = Folder,
            Stdin = _stdin.ReadEnd, Stdout = _stdout.WriteEnd, Stderr = 2,
        });
        _stdin.CloseRead();
        _stdout.CloseWrite();
        _stdout.Drain(block => _said.Write(block.Span));
        Assert.True(SpinWait.SpinUntil(() => Said().EndsWith('\n') || _process.Ended, 20_000) && !_process.Ended, "no victim");
        _numbers = Said().Trim().Replace(' ', '\n');
    }

    public string Folder { get; }

    /// <summary>Beneath <see cref="Folder"/>: what the plan grants, read-only.</summary>
    public string Granted { get; }

    /// <summary>What the hostile VMM is told, so that a wall and not ignorance stops it.</summary>
    public string Settings =>
        $"hostname={Environment.MachineName}\nset-group-id={World.Current.Programs}/group\n"
        + $"folder={Folder}\nsecret={Folder}/secret\nsocket={Folder}/socket\nabstract={_name}\nqueue=/{_name}\n{_numbers}\n";

    string Said() => System.Text.Encoding.ASCII.GetString(_said.ToArray());

    /// <summary>It must have come to no harm; what a weakened jail lets through is another matter.</summary>
    public void AssertUnharmed()
    {
        Assert.False(_process.Ended, "the victim was killed");
        Assert.Equal("CANARY\n", File.ReadAllText(Path.Combine(Folder, "secret")));
        Assert.Equal(["granted", "secret", "socket"],
            Directory.GetFileSystemEntries(Folder).Select(path => Path.GetFileName(path)!).Order());
    }

    public void Dispose()
    {
        _stdin.CloseWrite();
        _process.Wait(TimeSpan.FromSeconds(5));
        _stdout.Dispose();
        _stdin.Dispose();
    }
}
