using System.Text.Json;
using Sandbox.Supervisor.Jail;
using static Sandbox.Host.Libc;

namespace Sandbox.Escape;

/// <summary>
/// Walls are what the kernel shows: a jail that lacks one, and a VMM that claims what is not so, are found out before
/// anything of a guest's has run.
/// </summary>
public sealed class FactsTests
{
    /// <summary>What is said of each thing that was looked at.</summary>
    static Dictionary<string, List<string>> Verdicts(string file)
    {
        using JsonDocument record = JsonDocument.Parse(File.ReadAllBytes(file));
        var verdicts = new Dictionary<string, List<string>>();
        foreach (JsonElement line in record.RootElement.GetProperty("walls").EnumerateArray())
        {
            string name = line.GetProperty("wall").GetString()!;
            if (!verdicts.TryGetValue(name, out List<string>? all))
                verdicts.Add(name, all = []);
            all.Add(line.GetProperty("verdict").GetString()!);
        }

        return verdicts;
    }

    static Outcome Run(string[] command, string folder)
    {
        World.Need();
        Outcome outcome = World.Start(command, folder);
        Assert.True(outcome is { TimedOut: false, Left.Count: 0 }, $"left: {string.Join(", ", outcome.Left)}\n{outcome}");
        return outcome;
    }

    /// <summary>The native programs where every user can execute them.</summary>
    static string CopyOfSandbox(string folder)
    {
        foreach (string name in (string[])["sandbox", "sandbox-vmm"])
            File.Copy(Path.Combine(Path.GetDirectoryName(World.Sandbox)!, name), Path.Combine(folder, name));
        return Path.Combine(folder, "sandbox");
    }

    static string WithPolicy(string folder, string walls)
    {
        string file = Path.Combine(folder, "walls.yaml");
        File.WriteAllText(file, $"version: 1\nextends: builtin:default.yaml\nisolation: [{walls}]\n");
        return file;
    }

    /// <summary>Besides the wall itself: what stands on it.</summary>
    static readonly Dictionary<JailWalls, string[]> s_also = new()
    {
        [JailWalls.User] = ["its users"],
        [JailWalls.Pid] = ["its process number"],
        [JailWalls.Root] = ["mount namespace", "root and working directory"],
        [JailWalls.Network] = ["network interfaces"],
        // Nothing tells a user's files from root's when the VMM is root.
        [JailWalls.OwnUser] = ["not dumpable"],
    };

    /// <summary>
    /// One the real VMM puts on once more: see the next test. The other stands only where a policy gives rates: see
    /// EndToEnd's DiskRateTests.
    /// </summary>
    const JailWalls s_elsewhere = JailWalls.NoNewPrivileges | JailWalls.DiskRates;

    public static TheoryData<string> Walls =>
        [.. WallNames.All.Where(wall => (wall.Wall & s_elsewhere) == 0).Select(wall => wall.Name)];

    [Theory]
    [MemberData(nameof(Walls))]
    public void A_wall_that_is_left_out_is_seen(string name)
    {
        World.Need();
        Assert.SkipUnless(geteuid() == 0, "only root can leave out one wall and still build the others");
        JailWalls wall = WallNames.All.Single(one => one.Name == name).Wall;
        string folder = World.Current.NewFolder(), file = Path.Combine(folder, "result.json");
        HostileVmm vmm = HostileVmm.Replaced(JailWalls.All & ~wall);
        Outcome outcome = Run(vmm.Command([], "--json", file), folder);
        Assert.True(outcome.Status == 0, outcome.ToString());
        Dictionary<string, List<string>> verdicts = Verdicts(file);
        Assert.Contains(verdicts[name], verdict => verdict is "missing" or "weaker");
        string[] others = [.. verdicts.Where(line => line.Value.Any(verdict => verdict != "holds")).Select(line => line.Key)
            .Except([name, .. s_also.GetValueOrDefault(wall, [])])];
        Assert.True(others.Length == 0, $"{string.Join(", ", others)}\n{File.ReadAllText(file)}");
    }

    [Fact]
    public void Privileges_that_can_be_gained_are_seen()
    {
        World.Need();
        string folder = World.Current.NewFolder(), file = Path.Combine(folder, "result.json");
        var vmm = new HostileVmm("scenario=lie\n", JailWalls.All & ~JailWalls.NoNewPrivileges);
        Assert.Equal(125, Run(vmm.Command([], "--json", file), folder).Status);
        Assert.Equal(["missing"], Verdicts(file)["no new privileges"]);
    }

    [Fact]
    public void In_the_whole_jail_everything_holds()
    {
        World.Need();
        Assert.SkipUnless(geteuid() == 0, "only root can build every wall anywhere");
        string folder = World.Current.NewFolder(), file = Path.Combine(folder, "result.json");
        Assert.Equal(0, Run([World.Sandbox, "run", "--json", file, "--mount", folder, "--", "true"], folder).Status);
        Assert.True(Verdicts(file).All(line => line.Value.All(verdict => verdict == "holds")), File.ReadAllText(file));
    }

    /// <summary>His supervisor may not read all of a process that cannot be dumped, and says so.</summary>
    [Fact]
    public void An_ordinary_users_supervisor_says_what_it_cannot_read()
    {
        World.Need();
        Assert.SkipUnless(geteuid() == 0, "only root can lend another user /dev/kvm");
        string folder = World.Current.NewFolder(), file = Path.Combine(folder, "result.json");
        Outcome outcome = Run([.. OrdinaryUser.Prefix(), CopyOfSandbox(folder), "run", "--json", file, "--", "true"], folder);
        Assert.True(outcome.Status == 0, outcome.ToString());
        string[] open = [.. Verdicts(file).Where(line => line.Value.Any(verdict => verdict != "holds"))
            .Select(line => $"{line.Key}: {string.Join(", ", line.Value.Distinct())}")];
        Assert.Equal(["environment: cannot be read", "descriptors: cannot be read", "control group: missing"], open);
    }

    /// <summary>The same walls, required: what he can read of them is enough.</summary>
    [Fact]
    public void What_a_policy_requires_an_ordinary_users_supervisor_can_read()
    {
        World.Need();
        Assert.SkipUnless(geteuid() == 0, "only root can lend another user /dev/kvm");
        string folder = World.Current.NewFolder();
        string policy = WithPolicy(folder, "namespaces, seccomp, landlock, no-network, user-mapping");
        Outcome outcome = Run([.. OrdinaryUser.Prefix(), CopyOfSandbox(folder), "run", "--policy", policy, "--", "echo", "hello"], folder);
        Assert.Equal((0, "hello\n", ""), (outcome.Status, outcome.Text, outcome.ErrorText));
    }

    [Theory]
    [InlineData("lie", "seccomp", "seccomp filter: mode 0 on thread ")]
    [InlineData("spare-a-thread", "seccomp", " 'kvm-nx-lpage-re', expected mode 2")]
    [InlineData("tell-half", "landlock", "Landlock: not put on")]
    public void A_VMM_that_claims_walls_gets_no_guest_to_run(string scenario, string wall, string found)
    {
        World.Need();
        string folder = World.Current.NewFolder();
        var vmm = new HostileVmm($"scenario={scenario}\n");
        Outcome outcome = Run(vmm.Command([], "--policy", WithPolicy(folder, wall)), folder);
        string line = Assert.Single(outcome.ErrorText.TrimEnd('\n').Split('\n'));
        Assert.Equal(125, outcome.Status);
        Assert.Contains($"the policy requires the wall {wall}, which does not stand as the kernel shows it", line, StringComparison.Ordinal);
        Assert.Contains(found, line, StringComparison.Ordinal);
    }
}
