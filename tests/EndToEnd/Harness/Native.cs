namespace Sandbox.EndToEnd.Harness;

/// <summary>Runs a program on the host itself, with the environment that a guest would have.</summary>
static class Native
{
    public static Outcome Run(
        IReadOnlyList<string> command, string directory, byte[]? input = null,
        IReadOnlyDictionary<string, string>? environment = null, TimeSpan? timeout = null)
    {
        var variables = new Dictionary<string, string>
        {
            ["PATH"] = Tool.SearchPath, ["HOME"] = directory, ["USER"] = "sandbox", ["LANG"] = "C.UTF-8",
        };
        foreach ((string name, string value) in environment ?? new Dictionary<string, string>())
            variables[name] = value;
        string path = Tool.Find(command[0]) ?? throw new FileNotFoundException($"{command[0]} is not installed");
        return Capture.Run(path, command, [.. variables.Select(v => $"{v.Key}={v.Value}")], directory, input,
            timeout ?? TimeSpan.FromSeconds(90), _ => []);
    }
}
