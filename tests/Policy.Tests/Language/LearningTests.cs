using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>What is learned covers what was seen, generalises by rule only, and passes the checks of any policy.</summary>
public class LearningTests
{
    static readonly string[] s_memory = ["/tmp", "/home/sandbox"];

    [Theory]
    [InlineData("/usr/lib/python3/x.py", "/usr/lib/python3/x.py")]
    [InlineData("/", "/")]
    [InlineData("/a*b/[c]/{d}/e?f/g\\h/~i", "/a\\*b/\\[c\\]/\\{d\\}/e\\?f/g\\\\h/~i")]
    [InlineData("/proc/17/maps", "/proc/*/maps")]
    [InlineData("/proc/17/task/18/comm", "/proc/*/task/*/comm")]
    [InlineData("/proc/17/fd/3", "/proc/*/fd/*")]
    [InlineData("/proc/sys/17", "/proc/sys/17")]
    [InlineData("/dev/pts/0", "/dev/pts/*")]
    [InlineData("/data/17/x", "/data/17/x")]
    [InlineData("/tmp/tmpab_12xyz", "/tmp/tmp*")]
    [InlineData("/tmp/tmpab_12xyz/file", "/tmp/tmp*/file")]
    [InlineData("/tmp/tmp.AbC123xyz9", "/tmp/tmp.*")]
    [InlineData("/tmp/ccAb12Cd.o", "/tmp/cc*.o")]
    [InlineData("/tmp/template12", "/tmp/template12")]
    [InlineData("/tmp", "/tmp")]
    [InlineData("/data/tmpab_12xyz", "/data/tmpab_12xyz")]
    [InlineData("/work/__pycache__/x.cpython-313.pyc.140234234", "/work/__pycache__/x.cpython-313.pyc.*")]
    [InlineData("/usr/lib/libz.so.1", "/usr/lib/libz.so.1")]
    [InlineData("/data/photo.2024", "/data/photo.2024")]
    public void PatternsAreThePathsButForNamesThatDiffer(string path, string pattern)
    {
        Assert.Equal(pattern, Generalization.PatternOf(path, s_memory, everyRun: true));
        CompiledPolicy policy = MemoryFiles.Fragment($"files: {{rules: [{{allow: write, path: '{pattern}'}}]}}\n");
        Assert.True(policy.Paths.Decide(ReferenceEvaluator.Bytes(path), PathAccess.Write).Allowed);
    }

    [Theory]
    [InlineData("/tmp/f3yparvh", "/tmp/*")]
    [InlineData("/tmp/f3yparvh/x", "/tmp/*/x")]
    [InlineData("/tmp/document", "/tmp/document")]
    [InlineData("/tmp/f3yparv", "/tmp/f3yparv")]
    [InlineData("/data/f3yparvh", "/data/f3yparvh")]
    public void NamesThatNotEveryRunUsedMayBeRandom(string path, string pattern)
    {
        Assert.Equal(pattern, Generalization.PatternOf(path, s_memory, everyRun: false));
        Assert.Equal(path, Generalization.PatternOf(path, s_memory, everyRun: true));
    }

    static Observations Run(params (PathAccess Access, string Path)[] paths) => Observations.OfRun(
        paths.GroupBy(path => path).ToDictionary(group => new PathRequest(group.Key.Access, group.Key.Path), group => (long)group.Count()),
        new Dictionary<(string, string), long>(), new Dictionary<int, long> { [0] = 7, [59] = 1 }, 0);

    static GuestFile File(GuestFileKind kind, string path, string? content = null) => new() { Kind = kind, Path = path, Content = content };

    static readonly GuestFile[] s_files =
    [
        File(GuestFileKind.Symlink, "/bin", "usr/bin"), File(GuestFileKind.Host, "/usr"), File(GuestFileKind.Text, "/etc/passwd", "x"),
        File(GuestFileKind.Host, "/etc/services"), File(GuestFileKind.Temporary, "/tmp"),
    ];

    static CompiledPolicy Base { get; } = MemoryFiles.Load(
        "version: 1\nextends: builtin:default.yaml\nfiles: {rules: [{deny: read, path: /usr/secret, because: a test}]}\n");

    static string Learn(Observations seen, out IReadOnlyList<string> uncovered) => LearnedPolicy.Write(Base, s_files, seen, "'x'", out uncovered, out _)!;

    [Fact]
    public void TheLeastIsWrittenAndChecked()
    {
        Observations seen = Run(
            (PathAccess.Execute, "/usr/bin/x"), (PathAccess.Read, "/usr/lib/a"), (PathAccess.Read, "/usr/lib/a"), (PathAccess.None, "/usr/lib"),
            (PathAccess.Read, "/etc/passwd"), (PathAccess.Create, "/tmp/tmpabcdefgh"), (PathAccess.Write, "/tmp/tmpabcdefgh"),
            (PathAccess.None, "/usr/lib/a"), (PathAccess.None, "/"), (PathAccess.Read, "/usr/secret"));
        Assert.True(seen.TryAdd(Run((PathAccess.Read, "/usr/lib/a"), (PathAccess.Create, "/tmp/tmp01234567"))));
        string text = Learn(seen, out IReadOnlyList<string> uncovered);
        Assert.Empty(uncovered);
        CompiledPolicy learned = MemoryFiles.Load(text);
        var diagnostics = new Diagnostics();
        Lint.Check(learned, diagnostics);
        Assert.Empty(diagnostics.List.Select(found => found.ToString()));
        Assert.Contains("- /usr/lib/a  # 3 times in 2 runs", text, StringComparison.Ordinal);
        Assert.Contains("- \"/tmp/tmp*\"  # 2 times in 1 run", text, StringComparison.Ordinal);
        Assert.Contains("link: usr/bin", text, StringComparison.Ordinal);
        Assert.Contains("read  # 14 times in 2 runs", text, StringComparison.Ordinal);
        Assert.Contains("although the base policy does not allow it", text, StringComparison.Ordinal);
        Assert.DoesNotContain("/etc/services", text, StringComparison.Ordinal);
        // Shown by itself: it needs no rule.
        Assert.DoesNotContain("- /etc/passwd", text, StringComparison.Ordinal);
        PathAccess Allowed(string path) => learned.Paths.Allowed(ReferenceEvaluator.Bytes(path));
        Assert.Equal(PathAccess.Read, Allowed("/usr/lib/a"));
        Assert.Equal(PathAccess.Read, Allowed("/usr/lib"));
        Assert.Equal(PathAccess.Execute, Allowed("/usr/bin/x"));
        Assert.Equal(PathAccess.None, Allowed("/usr/lib/b"));
        Assert.Equal(PathAccess.None, Allowed("/usr/bin/y"));
        Assert.Equal(PathAccess.Write | PathAccess.Create, Allowed("/tmp/tmpzzzzzzzz"));
        Assert.Equal(PathAccess.None, Allowed("/tmp/other"));
        Assert.True(learned.SystemCalls.Decide(59, new ulong[6]).Allowed);
        Assert.False(learned.SystemCalls.Decide(1, new ulong[6]).Allowed);
        Assert.Empty(learned.Model.Freedoms);
    }

    /// <summary>What the base denies and the program did not do stays denied, whoever extends what was learned.</summary>
    [Fact]
    public void DeniesOfTheBaseAreKept()
    {
        CompiledPolicy @base = MemoryFiles.Load("""
            version: 1
            extends: builtin:default.yaml
            files:
              rules:
                - {deny: [read, execute], path: [/usr/secret, /usr/keys/**], because: secrets}
                - {deny: read, path: /srv/x, because: elsewhere}
            network:
              - {deny: connect, to: 192.0.2.0/24, because: never}
              - {deny: resolve, to: "*", because: no names}
            syscalls:
              - {deny: [execve, ptrace], answer: ENOSYS, because: no programs}
              - {deny: read, when: {argument: 0, as: int, is: ==, value: 0}, because: no input}
            """);
        Observations seen = Run((PathAccess.Read, "/usr/secret"), (PathAccess.Read, "/usr/lib/a"));
        string text = LearnedPolicy.Write(@base, s_files, seen, "'x'", out IReadOnlyList<string> uncovered, out string problem)!;
        Assert.Equal("", problem);
        Assert.Empty(uncovered);
        CompiledPolicy learned = MemoryFiles.Load(text);
        Assert.Equal(
            ["deny execute of /usr/secret", "deny read, execute of /usr/keys/**"],
            learned.Model.PathRules.Where(rule => !rule.Allow).Select(rule => rule.Text).Order());
        Assert.Equal(
            ["deny connect 192.0.2.0/24", "deny resolve *"], learned.Model.NetworkRules.Select(rule => rule.Text).Order());
        Assert.Equal(
            ["allow execve", "allow read", "deny ptrace", "deny read under conditions"],
            learned.Model.SystemCallRules.Select(rule => rule.Text).Order());
        Assert.Contains("made although the base policy does not allow it in 1 run", text, StringComparison.Ordinal);
        SystemCallRule ptrace = learned.Model.SystemCallRules.Single(rule => rule.Text == "deny ptrace");
        Assert.Equal((38, "no programs"), (ptrace.Answer, ptrace.Because));
    }

    [Theory]
    [InlineData("/tmp/a b", true)]
    [InlineData("/tmp/\u2028", false)]
    [InlineData("/tmp/\ufeff", false)]
    [InlineData("/tmp/\u202e", false)]
    [InlineData("/tmp/\n", false)]
    public void OnlyNamesThatAreSeenAsTheyAreCanBeSaid(string path, bool can)
    {
        Assert.Equal(can, PolicyText.CanSay(path));
        // What an older file of observations has makes a policy all the same.
        Assert.NotNull(LearnedPolicy.Write(Base, s_files, Run((PathAccess.Read, path), (PathAccess.Create, path)), "'x'", out _, out _));
    }

    [Fact]
    public void AFileThatIsRenamedMayDoUnderItsOldNameWhatItMayUnderTheNew()
    {
        Observations seen = Observations.OfRun(
            new Dictionary<PathRequest, long>
            {
                [new(PathAccess.Create, "/tmp/a")] = 1, [new(PathAccess.Delete, "/tmp/a")] = 1, [new(PathAccess.Create, "/tmp/b")] = 1,
                [new(PathAccess.Delete, "/tmp/b")] = 1, [new(PathAccess.Create, "/tmp/c")] = 1, [new(PathAccess.Read, "/tmp/c")] = 1,
            },
            new Dictionary<(string, string), long> { [("/tmp/b", "/tmp/c")] = 1, [("/tmp/a", "/tmp/b")] = 1 }, new Dictionary<int, long>(), 3);
        string text = Learn(seen, out IReadOnlyList<string> uncovered);
        Assert.Empty(uncovered);
        PathRules rules = MemoryFiles.Load(text).Paths;
        Assert.Equal(PathAccess.Read | PathAccess.Create | PathAccess.Delete, rules.Allowed("/tmp/a"u8));
        Assert.Contains("no policy can name, asked for 3 times in 1 run", text, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatTheResultCannotCoverIsSaid()
    {
        Learn(Run((PathAccess.Read, "/nowhere/x")), out IReadOnlyList<string> uncovered);
        // A rule allows it; that nothing is shown there is the check's to say.
        Assert.Empty(uncovered);
        var calls = Observations.OfRun(
            new Dictionary<PathRequest, long>(), new Dictionary<(string, string), long>(), new Dictionary<int, long>(), 0);
        Assert.DoesNotContain("syscalls:", Learn(calls, out _), StringComparison.Ordinal);
    }

    [Fact]
    public void ChainsOfRenamesEndSomewhere()
    {
        var moves = Enumerable.Range(0, 3_000).ToDictionary(i => ($"/tmp/n{i + 1:d4}", $"/tmp/n{i:d4}"), _ => 1L);
        moves[("/tmp/n0000", "/tmp/n3000")] = 1;
        Observations seen = Observations.OfRun(
            new Dictionary<PathRequest, long> { [new(PathAccess.Read, "/tmp/n0000")] = 1 }, moves, new Dictionary<int, long>(), 0);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        Learn(seen, out _);
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 30);
    }

    [Fact]
    public void WhatMakesNoPolicyIsSaid()
    {
        var paths = Enumerable.Range(0, 20_000).ToDictionary(i => new PathRequest(PathAccess.Read, $"/usr/{new string('x', 80)}{i}"), _ => 1L);
        Observations seen = Observations.OfRun(paths, new Dictionary<(string, string), long>(), new Dictionary<int, long>(), 0);
        Assert.Null(LearnedPolicy.Write(Base, s_files, seen, "'x'", out _, out string problem));
        Assert.NotEqual("", problem);
    }

    [Fact]
    public void ObservationsAreKeptAndAddedUp()
    {
        Observations seen = Observations.OfRun(
            new Dictionary<PathRequest, long> { [new(PathAccess.Read, "/a b")] = 2, [new(PathAccess.None, "/c")] = 1 },
            new Dictionary<(string, string), long> { [("/x", "/y z")] = 1 }, new Dictionary<int, long> { [0] = 5, [400] = 1 }, 2);
        string text = ObservationText.Write(seen);
        Observations? read = ObservationText.Read(text, out string problem);
        Assert.True(read is not null, problem);
        Assert.Equal(text, ObservationText.Write(read!));
        Assert.True(read!.TryAdd(seen));
        string twice = ObservationText.Write(read);
        Assert.Contains("read 4 2 /a b\n", twice, StringComparison.Ordinal);
        Assert.Contains("unnameable 4 2\n", twice, StringComparison.Ordinal);
        Assert.Equal(2, read.Runs);
    }

    [Theory]
    [InlineData("", "line 1")]
    [InlineData("sandbox-observations 2\nruns 1\n", "line 1")]
    [InlineData("sandbox-observations 1\nruns x\n", "line 2")]
    [InlineData("sandbox-observations 1\nruns 1\nread 1 1 /a", "line 1")]
    [InlineData("sandbox-observations 1\nruns 1\nread 1 1 a\n", "line 3")]
    [InlineData("sandbox-observations 1\nruns 1\nread 1 1 /a/../b\n", "line 3")]
    [InlineData("sandbox-observations 1\nruns 1\nread 1 2 /a\n", "line 3")]
    [InlineData("sandbox-observations 1\nruns 1\nread 1 1 /a\nread 1 1 /a\n", "line 4")]
    [InlineData("sandbox-observations 1\nruns 1\nread -1 1 /a\n", "line 3")]
    [InlineData("sandbox-observations 1\nruns 1\nmove 1 1 /a\n", "line 3")]
    [InlineData("sandbox-observations 1\nruns 1\ncall 1 1 @all\n", "line 3")]
    [InlineData("sandbox-observations 1\nruns 1\ncall 1 1 nothing\n", "line 3")]
    [InlineData("sandbox-observations 1\nruns 1\n\n", "line 3")]
    public void WhatIsNoObservationIsRefusedWithItsLine(string text, string line)
    {
        Assert.Null(ObservationText.Read(text, out string problem));
        Assert.StartsWith(line, problem, StringComparison.Ordinal);
    }

    [Fact]
    public void ALearningPolicyRefusesNothingThatIsShown()
    {
        CompiledPolicy policy = CompiledPolicy.Compile(LearningPolicy.Of(Base.Model), "/home/sandbox", new Diagnostics())!;
        Assert.Equal(PathAccess.All, policy.Paths.Allowed("/usr/secret"u8));
        Assert.True(policy.SystemCalls.Decide(511, new ulong[6]).Allowed);
        Assert.True(policy.Model.Audit!.Value.Records(allowed: true));
        Assert.Equal(WhenFull.Block, policy.Model.Audit.Value.WhenFull);
    }

    static Observations Network(params (bool Allowed, string Request)[] requests) => Observations.OfRun(
        new Dictionary<PathRequest, long>(), new Dictionary<(string, string), long>(), new Dictionary<int, long>(), 0,
        requests.ToDictionary(request => request, _ => 1L));

    [Fact]
    public void TheNetworkIsLearnedAsFarAsTheBaseLetItBeReached()
    {
        Observations seen = Network(
            (true, "connect tcp files.example:443"), (true, "connect tcp files.example:80"), (true, "connect udp 127.0.0.1:53"),
            (true, "listen tcp [::]:8080"), (true, "resolve b.example"), (false, "connect tcp 10.0.0.1:1"));
        Assert.True(seen.TryAdd(Network((true, "connect tcp files.example:443"))));
        Observations again = ObservationText.Read(ObservationText.Write(seen), out string problem)!;
        Assert.Equal("", problem.Length > 0 && again is null ? problem : "");
        Assert.Equal(ObservationText.Write(seen), ObservationText.Write(again!));
        string text = Learn(again!, out IReadOnlyList<string> uncovered);
        Assert.Equal(["connect tcp 10.0.0.1:1"], uncovered);
        CompiledPolicy learned = MemoryFiles.Load(text);
        bool Allows(string request) => Ask.About(learned, Request.TryParse(request, "/", out _)!).Allowed;
        Assert.All(seen.Network.Keys, key => Assert.Equal(key.Allowed, Allows(key.Request)));
        Assert.False(Allows("connect tcp files.example:81"));
        Assert.False(Allows("connect udp files.example:80"));
        Assert.False(Allows("listen tcp 0.0.0.0:8080"));
        Assert.False(Allows("resolve a.b.example"));
        Assert.Contains("- 443  # 2 times in 2 runs", text, StringComparison.Ordinal);
        Assert.Contains("did not get: connect tcp 10.0.0.1:1", text, StringComparison.Ordinal);
        var diagnostics = new Diagnostics();
        Lint.Check(learned, diagnostics);
        Assert.Empty(diagnostics.List.Select(found => found.ToString()));
    }

    [Fact]
    public void BoundsOfWhatIsShownAreKept()
    {
        CompiledPolicy bounded = MemoryFiles.Load("""
            version: 1
            extends: builtin:default.yaml
            files:
              show:
                - {path: /small, memory: true, size: 8K, because: a test}
                - {path: /out, access: [read, write], quota: 1M, rate: 2M, operations: 300, because: a test}
            """);
        GuestFile[] files = [File(GuestFileKind.Temporary, "/small"), File(GuestFileKind.Host, "/out")];
        string text = LearnedPolicy.Write(bounded, files, Run((PathAccess.Write, "/out/x")), "'x'", out _, out _)!;
        Assert.Contains("size: 8192", text, StringComparison.Ordinal);
        Assert.Contains("quota: 1048576", text, StringComparison.Ordinal);
        Assert.Contains("rate: 2097152", text, StringComparison.Ordinal);
        Assert.Contains("operations: 300", text, StringComparison.Ordinal);
    }
}
