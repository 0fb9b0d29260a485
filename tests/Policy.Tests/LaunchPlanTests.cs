using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

public class LaunchPlanTests
{
    static CompiledPolicy Rules { get; } = MemoryFiles.Fragment(
        "files: {show: [{path: /d}], rules: [{deny: read, path: /d/*.x}]}\nsyscalls: [{allow: open, when: {argument: 1, as: int, is: ==, value: 1}}]\n");

    static LaunchPlan Plan { get; } = new()
    {
        Version = LaunchPlan.CurrentVersion,
        Arguments = ["sh", "-c", "echo \"ä\u0001\ud83d\ude00\""],
        Environment = ["PATH=/bin", "EMPTY="],
        WorkingDirectory = "/home/sandbox",
        Hostname = "sandbox",
        User = new GuestUser { Name = "sandbox", Uid = 1000, Gid = uint.MaxValue - 1, Home = "/home/sandbox" },
        Limits = new GuestLimits
        {
            MemoryBytes = 252UL << 30,
            Cpus = 2,
            WallMilliseconds = long.MaxValue,
            CpuMilliseconds = 0,
            Processes = 256,
            OutputBytes = 0,
            TmpBytes = 1 << 20,
            OpenFiles = 1024,
        },
        Files =
        [
            new GuestFile { Kind = GuestFileKind.Host, Path = "/usr", Descriptor = 0 },
            new GuestFile { Kind = GuestFileKind.Text, Path = "/etc/passwd", Content = "root:x:0:0\n", Mode = 0x1a4 },
            new GuestFile { Kind = GuestFileKind.Temporary, Path = "/tmp", Writable = true, Mode = 0x3ff, Bytes = 4096 },
        ],
        PathRules = Rules.Paths.Tables,
        SystemCallRules = Rules.SystemCallTables,
        Streams = new GuestStreams { Stdin = 1, Stdout = 2, Stderr = 3, Terminal = false, Result = -1, Trace = -1 },
        Handoff = true,
        StartedAtNanoseconds = 123,
    };

    static JsonObject Json() => JsonNode.Parse(Plan.Serialize())!.AsObject();

    static LaunchPlan Read(string json) => LaunchPlan.Deserialize(Encoding.UTF8.GetBytes(json));

    static void Refuses(string json) => Assert.ThrowsAny<JsonException>(() => Read(json));

    [Fact]
    public void ReadsWhatItWrote() => Assert.Equivalent(Plan, LaunchPlan.Deserialize(Plan.Serialize()), strict: true);

    /// <summary>Every member of the plan and of its parts, as a path of property names.</summary>
    public static TheoryData<string> Members
    {
        get
        {
            var members = new TheoryData<string>();
            Collect(Json(), "");
            return members;

            void Collect(JsonObject node, string prefix)
            {
                foreach ((string name, JsonNode? value) in node)
                {
                    members.Add(prefix + name);
                    if (value is JsonObject child)
                        Collect(child, prefix + name + "/");
                }
            }
        }
    }

    static (JsonObject Owner, string Name, JsonObject Root) Find(string member)
    {
        JsonObject root = Json(), owner = root;
        string[] names = member.Split('/');
        foreach (string name in names[..^1])
            owner = owner[name]!.AsObject();
        return (owner, names[^1], root);
    }

    [Theory, MemberData(nameof(Members))]
    public void RefusesAPlanWithoutAMember(string member)
    {
        (JsonObject owner, string name, JsonObject root) = Find(member);
        Assert.True(owner.Remove(name));
        Refuses(root.ToJsonString());
    }

    [Theory, MemberData(nameof(Members))]
    public void RefusesNullForAMember(string member)
    {
        (JsonObject owner, string name, JsonObject root) = Find(member);
        owner[name] = null;
        // A plan without rules: all that its tree allows, and all calls.
        if (member is "pathRules" or "systemCallRules")
            Read(root.ToJsonString());
        else
            Refuses(root.ToJsonString());
    }

    [Theory, MemberData(nameof(Members))]
    public void RefusesAMemberTwice(string member)
    {
        (JsonObject owner, string name, _) = Find(member);
        string value = owner[name]!.ToJsonString();
        string whole = Encoding.UTF8.GetString(Plan.Serialize());
        string pair = $"\"{name}\":{value}";
        Assert.Contains(pair, whole, StringComparison.Ordinal);
        int at = whole.IndexOf(pair, StringComparison.Ordinal);
        Refuses(whole.Insert(at, pair + ","));
    }

    [Theory]
    [InlineData("pathRules/start", 1_000_000)]
    [InlineData("pathRules/columnCount", 1_000_000)]
    [InlineData("pathRules/bases", 0)]
    [InlineData("pathRules/rows", 0)]
    [InlineData("pathRules/edges", 0)]
    [InlineData("pathRules/edges", 2)]
    [InlineData("pathRules/names", -1)]
    [InlineData("pathRules/classes", 0)]
    [InlineData("pathRules/wildcardSteps", 0)]
    [InlineData("pathRules/wildcardSymbols", 0)]
    [InlineData("systemCallRules/offsets", 1)]
    [InlineData("systemCallRules/answers", 0)]
    [InlineData("systemCallRules/conditionOffsets", 0)]
    [InlineData("systemCallRules/conditions", 0)]
    [InlineData("systemCallRules/conditions", 2)]
    public void RefusesTablesThatLeadOutside(string member, int index)
    {
        (JsonObject owner, string name, JsonObject root) = Find(member);
        if (owner[name] is JsonArray all && index < 0)
            owner[name] = new JsonArray([.. all.Select(_ => (JsonNode)1_000_000)]);
        else if (owner[name] is JsonArray list)
            list[index] = 1_000_000;
        else
            owner[name] = index;
        Refuses(root.ToJsonString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("user")]
    [InlineData("limits")]
    [InlineData("streams")]
    public void RefusesUnknownMembers(string owner)
    {
        JsonObject root = Json();
        JsonObject target = owner.Length == 0 ? root : root[owner]!.AsObject();
        target["surprise"] = 1;
        Refuses(root.ToJsonString());
    }

    [Theory]
    [InlineData("Version")]
    [InlineData("ARGUMENTS")]
    public void RefusesOtherSpellings(string name)
    {
        JsonObject root = Json();
        root[name] = 1;
        Refuses(root.ToJsonString());
    }

    [Theory]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x","descriptor":0,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Text","path":"/x","descriptor":-1,"writable":false,"content":"","mode":420}""")]
    [InlineData("""{"bytes":0,"mode":0,"content":"y","writable":false,"descriptor":-1,"path":"/x","kind":"Symlink"}""")]
    public void ReadsFilesThatAre(string file)
    {
        JsonObject root = Json();
        root["files"] = new JsonArray("MARK");
        Assert.Equal("/x", Read(root.ToJsonString().Replace("\"MARK\"", file, StringComparison.Ordinal)).Files[0].Path);
    }

    [Theory]
    [InlineData("""{"bytes":0,"kind":"Device","path":"/x","descriptor":-1,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"host","path":"/x","descriptor":0,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host,Text","path":"/x","descriptor":0,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":0,"path":"/x","descriptor":0,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x"}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x","descriptor":252,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x","descriptor":-2,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"x","descriptor":0,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/","descriptor":0,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x/","descriptor":0,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x//y","descriptor":0,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x/../y","descriptor":0,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x/.","descriptor":0,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x\u0000","descriptor":0,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"","descriptor":0,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x","descriptor":0,"content":"c","writable":false,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Text","path":"/x","descriptor":-1,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Text","path":"/x","content":null,"descriptor":-1,"writable":false,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Text","path":"/x","content":"c","descriptor":0,"writable":false,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Text","path":"/x","content":"c","writable":true,"descriptor":-1,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Text","path":"/x","content":"c","mode":4096,"descriptor":-1,"writable":false}""")]
    [InlineData("""{"bytes":0,"kind":"Symlink","path":"/x","content":"","descriptor":-1,"writable":false,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Symlink","path":"/x","content":"a\u0000b","descriptor":-1,"writable":false,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Directory","path":"/x","writable":true,"descriptor":-1,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"path":"/x","descriptor":-1,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","descriptor":-1,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":null,"descriptor":-1,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":7,"descriptor":-1,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x","mode":-1,"descriptor":-1,"writable":false,"content":null}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x","mode":4294967296,"descriptor":-1,"writable":false,"content":null}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x","descriptor":"0","writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x","descriptor":0.5,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x","owner":0,"descriptor":-1,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":0,"kind":"Host","path":"/x","path":"/y","descriptor":-1,"writable":false,"content":null,"mode":0}""")]
    [InlineData("""{"bytes":4096,"kind":"Text","path":"/x","content":"c","descriptor":-1,"writable":false,"mode":0}""")]
    [InlineData("""{"bytes":4095,"kind":"Temporary","path":"/x","content":null,"descriptor":-1,"writable":true,"mode":0}""")]
    [InlineData("[]")]
    [InlineData("7")]
    public void RefusesFilesThatAreNot(string file)
    {
        JsonObject root = Json();
        const string marker = "\"MARK\"";
        root["files"] = new JsonArray("MARK");
        Refuses(root.ToJsonString().Replace(marker, file, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("\"plan\"")]
    [InlineData("{\"version\":1}")]
    [InlineData("\0\0\0\0")]
    public void RefusesWhatIsNoPlan(string json) => Refuses(json);

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(-1)]
    public void RefusesOtherVersions(int version)
    {
        JsonObject root = Json();
        root["version"] = version;
        Refuses(root.ToJsonString());
    }

    [Fact]
    public void RefusesTrailingTextCommentsAndCutPlans()
    {
        string whole = Encoding.UTF8.GetString(Plan.Serialize());
        Refuses(whole + "x");
        Refuses(whole + whole);
        Refuses("/* c */" + whole);
        for (int length = 0; length < whole.Length; length += 7)
            Refuses(whole[..length]);
    }

    [Fact]
    public void RefusesNestingWithoutEnd() => Refuses(new string('[', 100_000));

    [Fact]
    public void RefusesInvalidUtf8()
    {
        byte[] bytes = Plan.Serialize();
        int at = bytes.AsSpan().IndexOf("/home/sandbox"u8);
        bytes[at + 1] = 0xff;
        Assert.ThrowsAny<JsonException>(() => LaunchPlan.Deserialize(bytes));
    }

    [Theory]
    [InlineData("arguments")]
    [InlineData("environment")]
    [InlineData("files")]
    public void RefusesNullInsideLists(string list)
    {
        JsonObject root = Json();
        root[list]!.AsArray().Add(null);
        Refuses(root.ToJsonString());
    }

    [Fact]
    public void RefusesFoldersAfterWhatTheyHoldAndPathsTwice()
    {
        GuestFile inner = new() { Kind = GuestFileKind.Directory, Path = "/a/b/c" };
        GuestFile outer = new() { Kind = GuestFileKind.Directory, Path = "/a" };
        LaunchPlan.Deserialize((Plan with { Files = [outer, inner] }).Serialize());
        RefusesPlan(Plan with { Files = [inner, outer] });
        RefusesPlan(Plan with { Files = [outer, inner, outer] });
        RefusesPlan(Plan with { Files = [outer, outer] });
    }

    public static TheoryData<string, GuestLimits> BadLimits => new()
    {
        { "no memory", Plan.Limits with { MemoryBytes = 0, TmpBytes = 0 } },
        { "no memory for page tables", Plan.Limits with { MemoryBytes = (1UL << 20) - 1, TmpBytes = 0 } },
        { "memory beyond guest-physical space", Plan.Limits with { MemoryBytes = (252UL << 30) + 1 } },
        { "no cpu", Plan.Limits with { Cpus = 0 } },
        { "too many cpus", Plan.Limits with { Cpus = 257 } },
        { "wall", Plan.Limits with { WallMilliseconds = -1 } },
        { "cpu time", Plan.Limits with { CpuMilliseconds = -1 } },
        { "no process", Plan.Limits with { Processes = 0 } },
        { "too many processes", Plan.Limits with { Processes = 4097 } },
        { "output", Plan.Limits with { OutputBytes = -1 } },
        { "files beyond memory", Plan.Limits with { MemoryBytes = 1 << 20, TmpBytes = (1 << 20) + 4096 } },
        { "no streams", Plan.Limits with { OpenFiles = 2 } },
        { "too many files", Plan.Limits with { OpenFiles = (1 << 20) + 1 } },
    };

    [Theory, MemberData(nameof(BadLimits), DisableDiscoveryEnumeration = true)]
    public void RefusesLimitsOutOfRange(string what, GuestLimits limits)
    {
        Assert.NotEmpty(what);
        RefusesPlan(Plan with { Limits = limits });
    }

    [Fact]
    public void RefusesTextThatNoProgramCouldReceive()
    {
        RefusesPlan(Plan with { Arguments = [] });
        RefusesPlan(Plan with { Arguments = [""] });
        RefusesPlan(Plan with { Arguments = ["a", "b\0c"] });
        RefusesPlan(Plan with { Environment = ["=x"] });
        RefusesPlan(Plan with { Environment = ["x"] });
        RefusesPlan(Plan with { Environment = ["A=\0"] });
        RefusesPlan(Plan with { WorkingDirectory = "tmp" });
        RefusesPlan(Plan with { WorkingDirectory = "/" + new string('n', 256) });
        RefusesPlan(Plan with { WorkingDirectory = "/" + new string('\u00e4', 128) });
        RefusesPlan(Plan with { WorkingDirectory = string.Concat(Enumerable.Repeat("/\u00e4\u00e4\u00e4", 600)) });
        RefusesPlan(Plan with { Hostname = "" });
        RefusesPlan(Plan with { Hostname = new string('h', 65) });
        RefusesPlan(Plan with { Hostname = "hôte" });
        RefusesPlan(Plan with { User = Plan.User with { Name = "" } });
        RefusesPlan(Plan with { User = Plan.User with { Home = "home" } });
        RefusesPlan(Plan with { User = Plan.User with { Uid = uint.MaxValue } });
    }

    [Fact]
    public void RefusesStreamsThatAreNoDescriptors()
    {
        RefusesPlan(Plan with { Streams = Plan.Streams with { Stdin = -2 } });
        RefusesPlan(Plan with { Streams = Plan.Streams with { Trace = 252 } });
        RefusesPlan(Plan with { Streams = Plan.Streams with { Stdin = -1, Terminal = true } });
    }

    static void RefusesPlan(LaunchPlan plan) => Assert.ThrowsAny<JsonException>(() => LaunchPlan.Deserialize(plan.Serialize()));
}
