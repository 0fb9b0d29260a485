namespace Sandbox.EndToEnd.Harness;

/// <summary>Which folder a case runs in.</summary>
enum Place
{
    /// <summary>A host folder that the guest may write to, mounted at /work.</summary>
    Mounted,

    /// <summary>The guest's own in-memory /tmp.</summary>
    Temporary,
}

/// <summary>
/// One command that must do the same natively and in a guest. In its words, <c>@guests</c> stands for the folder of
/// guest programs, <c>@scripts</c> for that of scripts and <c>@work</c> for the folder it runs in.
/// </summary>
sealed record Case(params string[] Command)
{
    public Place Place { get; init; } = Place.Mounted;
    public byte[]? Input { get; init; }
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();
    public IReadOnlyList<string> Flags { get; init; } = [];

    /// <summary>Fills the folder before each run.</summary>
    public Action<string>? Prepare { get; init; }

    /// <summary>stderr must be equal too.</summary>
    public bool WithStderr { get; init; }

    /// <summary>What the run left in a mounted folder must be equal too, seen from the host.</summary>
    public bool WithFiles { get; init; }

    /// <summary>The status that the native run must have, so that a broken case does not pass by failing twice.</summary>
    public int Status { get; init; }

    /// <summary>Runs both and compares; returns the guest's outcome.</summary>
    public Outcome MustMatch()
    {
        string native = NewFolder("native"), guest = NewFolder("guest");
        Prepare?.Invoke(native);
        Prepare?.Invoke(guest);
        Outcome expected = Native.Run(Words(Ring.GuestPrograms, Ring.Scripts, native), native, Input, Environment,
            TimeSpan.FromSeconds(100));
        Assert.False(expected.TimedOut, $"the native run did not end\n{expected}");
        Assert.True(expected.Status == Status, $"the native run must end with {Status}\n{expected}");

        string work = Place == Place.Mounted ? "/work" : "/tmp";
        string[] mount = Place == Place.Mounted ? ["--mount", $"{guest}:/work:rw"] : [];
        Outcome outcome = SandboxRun.Run(
            [
                "--user", SandboxRun.User, "--mount", $"{Ring.GuestPrograms}:/guests", "--mount", $"{Ring.Scripts}:/scripts",
                .. mount, "--workdir", work, .. Environment.SelectMany(v => new[] { "--env", $"{v.Key}={v.Value}" }), .. Flags,
            ],
            Words("/guests", "/scripts", work), Input);
        Assert.False(outcome.TimedOut, $"the sandbox did not end\n{outcome}");
        string? difference = Difference.Between(expected.Output, outcome.Output)
            ?? (WithStderr ? Difference.Between(expected.Error, outcome.Error) : null)
            ?? (expected.Status != outcome.Status ? $"status {expected.Status} natively, {outcome.Status} in the guest" : null)
            ?? (WithFiles && Place == Place.Mounted ? FolderDifference(native, guest) : null);
        Assert.True(difference is null, $"{difference}\nthe guest's run was\n{outcome}");
        outcome.Clean();
        Directory.Delete(native, recursive: true);
        Directory.Delete(guest, recursive: true);
        return outcome;
    }

    public static string NewFolder(string name)
    {
        string folder = Path.Combine(Ring.Folder, $"{name}-{Guid.NewGuid():N}");
        Directory.CreateDirectory(folder);
        return folder;
    }

    string[] Words(string guests, string scripts, string work) =>
        [.. Command.Select(word => word.Replace("@guests", guests).Replace("@scripts", scripts).Replace("@work", work))];

    static string? FolderDifference(string native, string guest) =>
        Difference.Between(FolderListing.Of(native), FolderListing.Of(guest)) is string difference
            ? "the folders that the runs left differ: " + difference
            : null;
}
