using System.CommandLine;
using System.CommandLine.Parsing;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.PolicyTools;
using Sandbox.Supervisor.Trust;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests;

/// <summary>A host that demands signatures takes no policy file without a good one, however the file is shaped.</summary>
public sealed class TrustTests : IDisposable
{
    const string Text = "version: 1\nextends: builtin:default.yaml\nguest: {memory: 64M}\n";

    readonly string _folder = Directory.CreateTempSubdirectory("sandbox-trust-").FullName;
    DateTimeOffset _now = new(2026, 5, 1, 12, 0, 0, TimeSpan.Zero);

    public TrustTests()
    {
        Assert.Equal(0, Run("keygen", In("key")));
        Demand("key");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    string In(string name) => Path.Combine(_folder, name);

    TrustedPolicy Host => new(In("etc/trust.yaml"), geteuid(), () => _now);

    void Demand(string key)
    {
        Directory.CreateDirectory(In("etc"));
        string pem = File.ReadAllText(In(key + ".pub")).TrimEnd().Replace("\n", "\n    ", StringComparison.Ordinal);
        File.WriteAllText(In("etc/trust.yaml"), $"version: 1\nkeys:\n  - |\n    {pem}\nrevisions: {In("state/revisions")}\n");
    }

    string Write(string name, string text = Text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(In(name))!);
        File.WriteAllText(In(name), text);
        return In(name);
    }

    /// <summary>sandbox policy ..., on this host.</summary>
    int Run(params string[] words)
    {
        var model = new CommandModel();
        ParseResult parsed = CommandLineParser.Parse(model.Root, ["policy", .. words], CommandModel.Configuration);
        Assert.Empty(parsed.Errors);
        return words[0] switch
        {
            "sign" => SigningTool.Sign(model.Policy, parsed, Host),
            "verify" => SigningTool.Verify(model.Policy, parsed, Host),
            _ => PolicyTool.Run(model.Policy, parsed),
        };
    }

    void Sign(string file, params string[] flags) => Assert.Equal(0, Run(["sign", file, "--key", In("key"), .. flags]));

    string Signed(string name, string text = Text, params string[] flags)
    {
        string file = Write(name, text);
        Sign(file, flags);
        return file;
    }

    void Refused(string file, string why) => OneLine.Refuses(why, () => Host.Load(file));

    [Fact]
    public void ASignedPolicyIsTaken()
    {
        Assert.Equal(64UL << 20, Host.Load(Signed("p.yaml")).Policy.Limit(Resource.Memory)!.Value);
        Assert.Equal(1, Host.Load(In("p.yaml")).Revision);
        Assert.Equal(7, Host.Load(Signed("p.yaml", Text, "--revision", "7")).Revision);
        Assert.Null(Host.Load("builtin:ci-job.yaml").Revision);
        Assert.Equal(0, Run("verify", In("p.yaml")));
        Assert.Equal(0, Run("verify", In("p.yaml"), "--trust", In("key.pub"), "--signature", In("p.yaml.sig")));
        // What is part of the program needs no signature.
        Assert.NotNull(Host.Load(null).Policy);
        Assert.NotNull(Host.Load("builtin:ci-job.yaml").Policy);
        OneLine.Refuses("not a built-in policy", () => Host.Load("builtin:../p.yaml"));
    }

    [Fact]
    public void NothingIsDemandedWithoutATrustFile()
    {
        File.Delete(In("etc/trust.yaml"));
        Assert.NotNull(Host.Load(Write("p.yaml")).Policy);
        OneLine.Refuses("--trust", () => Run("verify", In("p.yaml")));
    }

    [Fact]
    public void AnUnsignedFileIsRefusedHoweverItIsShaped()
    {
        Refused(Write("p.yaml", Text + "# p\n"), "is not signed as this host demands");
        string signed = Signed("good.yaml");
        // A link to a signed file is signed only beside a signature, which is then that of what it leads to.
        File.CreateSymbolicLink(In("link.yaml"), signed);
        Refused(In("link.yaml"), "is not signed");
        File.Copy(In("good.yaml.sig"), In("link.yaml.sig"));
        Assert.NotNull(Host.Load(In("link.yaml")).Policy);
        File.Delete(In("link.yaml"));
        File.CreateSymbolicLink(In("link.yaml"), In("p.yaml"));
        Refused(In("link.yaml"), "is not the file that was signed");

        Refused("/dev/stdin", "is not signed");
        Refused("/proc/self/fd/0", "is not signed");
        Refused(_folder, "is not signed");
        Refused("", "is not signed");
        unsafe
        {
            fixed (byte* name = System.Text.Encoding.UTF8.GetBytes(In("fifo") + '\0'))
                Assert.Equal(0, mknodat(AT_FDCWD, name, S_IFIFO | 0x180, 0));
        }

        Refused(In("fifo"), "is not signed");
        File.Copy(In("good.yaml.sig"), In("fifo.sig"));
        Refused(In("fifo"), "is not");
        // A signature that never ends, or never comes.
        File.CreateSymbolicLink(In("p.yaml.sig"), "/dev/zero");
        Refused(In("p.yaml"), "is not signed");
        File.Delete(In("p.yaml.sig"));
        File.CreateSymbolicLink(In("p.yaml.sig"), In("fifo"));
        Refused(In("p.yaml"), "is not signed");
    }

    [Fact]
    public void ASignatureForAnotherFileIsRefused()
    {
        Signed("other.yaml", Text + "# other\n");
        File.Copy(In("other.yaml.sig"), Write("p.yaml") + ".sig");
        Refused(In("p.yaml"), "is not the file that was signed");
        Assert.Equal(1, Run("verify", In("p.yaml")));
    }

    [Fact]
    public void OnePartThatIsNotSignedRefusesTheWhole()
    {
        Write("base.yaml", "version: 1\nfragment: true\nextends: builtin:default.yaml\n");
        string main = Signed("p.yaml", "version: 1\nextends: base.yaml\n");
        Assert.NotNull(Host.Load(main).Policy);
        Write("base.yaml", "version: 1\nfragment: true\nextends: builtin:default.yaml\nguest: {user: {value: root, because: a test}}\n");
        Refused(main, "is not the file that was signed");
        Assert.Equal(1, Run("verify", main));
        // Nor does a signature of its own help a part: the whole was signed with another.
        Sign(In("base.yaml"));
        Refused(main, "is not the file that was signed");
    }

    [Fact]
    public void TimeAndKeyAreChecked()
    {
        string file = Signed("p.yaml", Text, "--not-before", "2026-05-02", "--expires", "2026-05-03");
        Refused(file, "is not valid before 2026-05-02T00:00:00Z");
        _now = _now.AddDays(1);
        Assert.NotNull(Host.Load(file).Policy);
        _now = _now.AddDays(1);
        Refused(file, "has expired");
        Assert.Equal(1, Run("verify", file));

        Sign(file);
        Assert.NotNull(Host.Load(file).Policy);
        Assert.Equal(0, Run("keygen", In("new")));
        Demand("new");
        Refused(file, "a key that is not trusted here");
        Assert.Equal(0, Run("verify", file, "--trust", In("key.pub")));
        OneLine.Refuses("--trust:", () => Run("verify", file, "--trust", In("key")));
    }

    [Fact]
    public void AnOlderRevisionIsNotGoneBackTo()
    {
        string file = Signed("p.yaml", Text, "--revision", "2");
        string old = File.ReadAllText(file + ".sig");
        Assert.NotNull(Host.Load(file).Policy);
        Sign(file, "--revision", "3");
        Assert.NotNull(Host.Load(file).Policy);
        Assert.NotNull(Host.Load(file).Policy);
        File.WriteAllText(file + ".sig", old);
        Refused(file, "revision 2 of the policy p.yaml is older than revision 3");
        Assert.Equal(1, Run("verify", file));
        // Under another name the policy stays the one that was signed.
        File.Copy(file, In("q.yaml"));
        File.Copy(file + ".sig", In("q.yaml.sig"));
        Refused(In("q.yaml"), "is older than revision 3");
        Assert.Equal("sandbox policy revisions 1\n3 p.yaml\n", File.ReadAllText(In("state/revisions")));
    }

    [Fact]
    public void ARecordThatCannotBeReliedOnRefuses()
    {
        string file = Signed("p.yaml");
        Write("state/revisions", "nonsense\n");
        Refused(file, "is not a record of revisions");
        Write("state/revisions", "sandbox policy revisions 1\n1 p.yaml\n");
        File.SetUnixFileMode(In("state/revisions"), (UnixFileMode)0x1b6);
        Refused(file, "others than user");
        File.Delete(In("state/revisions"));
        // A new revision that cannot be written down is not used.
        Directory.CreateDirectory(In("state/revisions.new"));
        Refused(file, "cannot be recorded");
    }

    [Fact]
    public void ATrustFileThatOthersMayChangeRefusesEverything()
    {
        string file = Signed("p.yaml");
        File.SetUnixFileMode(In("etc/trust.yaml"), (UnixFileMode)0x1b6);
        Refused(file, "others than user");
        File.SetUnixFileMode(In("etc/trust.yaml"), (UnixFileMode)0x1a4);
        Assert.NotNull(Host.Load(file).Policy);
        File.SetUnixFileMode(In("etc"), (UnixFileMode)0x1ff);
        Refused(file, "may change its folder");
        File.Delete(In("etc/trust.yaml"));
        Refused(file, "may change its folder");
        File.SetUnixFileMode(In("etc"), (UnixFileMode)0x1ed);
        File.CreateSymbolicLink(In("etc/trust.yaml"), In("key.pub"));
        Refused(file, "cannot be opened");
        File.Delete(In("etc/trust.yaml"));
        Directory.CreateDirectory(In("etc/trust.yaml"));
        Refused(file, "is not a regular file");
        Directory.Delete(In("etc/trust.yaml"));
        Write("etc/trust.yaml", "version: 1\nkeys: []\n");
        Refused(file, "no policy file can be used");
        var another = new TrustedPolicy(In("etc/trust.yaml"), geteuid() + 1, () => _now);
        OneLine.Refuses("others than user", () => another.Load(file));
    }

    [Fact]
    public void SigningRefusesWhatItCannotMean()
    {
        string file = Write("p.yaml");
        OneLine.Refuses("--key", () => Run("sign", file));
        OneLine.Refuses("--key:", () => Run("sign", file, "--key", In("key.pub")));
        OneLine.Refuses("--revision:", () => Run("sign", file, "--key", In("key"), "--revision", "0"));
        OneLine.Refuses("--expires:", () => Run("sign", file, "--key", In("key"), "--expires", "2020-01-01"));
        OneLine.Refuses("--not-before:", () => Run("sign", file, "--key", In("key"), "--not-before", "tomorrow"));
        OneLine.Refuses("--name:", () => Run("sign", file, "--key", In("key"), "--name", "a b"));
        OneLine.Refuses("needs no signature", () => Run("sign", "builtin:default.yaml", "--key", In("key")));
        Assert.Equal(3, Run("sign", Write("bad.yaml", "version: 1\nversion: 1\n"), "--key", In("key")));
        Assert.False(File.Exists(In("bad.yaml.sig")));
        OneLine.Refuses("File exists", () => Run("keygen", In("key")));
        Assert.Equal((UnixFileMode)0x180, File.GetUnixFileMode(In("key")));
    }
}
