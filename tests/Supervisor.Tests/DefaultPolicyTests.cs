using System.Collections;
using System.Globalization;
using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Planning;
using Xunit;
using BindingFlags = System.Reflection.BindingFlags;

namespace Sandbox.Supervisor.Tests;

/// <summary>What was read when the program was built is what reading gives now.</summary>
public class DefaultPolicyTests
{
    static readonly PolicyModel s_read = Read(BuiltinPolicies.Default);

    static PolicyModel Read(string name) =>
        PolicyLoader.Load(BuiltinPolicies.Read(name)!, new OnlyText(), new Diagnostics())!;

    /// <summary>Knows nothing beforehand.</summary>
    sealed class OnlyText : IPolicyFiles
    {
        public SourceText? Read(string name, out string problem)
        {
            problem = "is not built in";
            return null;
        }
    }

    public static TheoryData<string> Builtin => [.. BuiltinPolicies.Names];

    [Theory]
    [MemberData(nameof(Builtin))]
    public void EachFileIsWhatTheLanguageReads(string name)
    {
        PolicyModel known = BuiltinModels.Of(BuiltinPolicies.Prefix + name)!;
        Assert.Equal(Everything(Binder.Read(BuiltinPolicies.Read(name)!, new Diagnostics())), Everything(known));
        if (!known.IsFragment)
            Assert.Equal(Everything(Read(name)), Everything(PolicyOpener.Load(BuiltinPolicies.Prefix + name)));
    }

    [Theory]
    [InlineData("builtin:none.yaml")]
    [InlineData("default.yaml")]
    [InlineData("/etc/builtin:default.yaml")]
    public void NothingElseIsKnown(string name) => Assert.Null(BuiltinModels.Of(name));

    [Fact]
    public void ItIsTheModelThatTheLanguageReads()
    {
        Assert.NotSame(s_read, BuiltinModels.Default);
        string expected = Everything(s_read);
        Assert.Contains("Span: builtin:base.yaml:16:7+", expected, StringComparison.Ordinal);
        Assert.Equal(expected, Everything(BuiltinModels.Default));
        Assert.Equal(PolicyText.Write(s_read), PolicyText.Write(BuiltinModels.Default));
    }

    [Fact]
    public void ItCompilesToTheSameRules()
    {
        CompiledPolicy read = Compile(s_read), built = Compile(BuiltinModels.Default);
        Assert.Equal(Everything(read.Paths.Tables), Everything(built.Paths.Tables));
        Assert.Equal(Everything(read.SystemCallTables), Everything(built.SystemCallTables));
        Assert.Equal(read.PathRuleList.Select(rule => rule.Text), built.PathRuleList.Select(rule => rule.Text));
        Assert.True(PolicyComparer.Compare(read, built).IsEqual);
    }

    [Fact]
    public void ItMakesTheSamePlan()
    {
        static byte[] Plan(PolicyModel policy)
        {
            var options = new RunOptions { Arguments = ["true"] };
            PolicyBounds.Check(options, policy);
            return PlanBuilder.Build(options, policy, new FakeHost().Facts, [], null, 0).Plan.Serialize();
        }

        Assert.Equal(Encoding.UTF8.GetString(Plan(s_read)), Encoding.UTF8.GetString(Plan(BuiltinModels.Default)));
    }

    [Fact]
    public void ItsPlacesShowTheirLines()
    {
        SourceSpan place = BuiltinModels.Default.Shown[0].Span;
        Assert.Equal("    - path: /usr", place.Text.Line(place.Line).ToString());
    }

    static CompiledPolicy Compile(PolicyModel model) =>
        CompiledPolicy.Compile(model, CompiledPolicy.UserOf(model).Home, new Diagnostics())!;

    /// <summary>All that an object holds, as text.</summary>
    static string Everything(object? value)
    {
        switch (value)
        {
            case null:
                return "null";
            case string text:
                return $"'{text}'";
            case SourceSpan span:
                return $"{span}+{span.Length}";
            case SourceText file:
                return $"{file.Name} {file.Content.Length}";
            case System.Net.IPNetwork block:
                return $"{block}";
            case IEnumerable items:
                return $"[{string.Join(", ", items.Cast<object?>().Select(Everything))}]";
            case IConvertible simple:
                return simple.ToString(CultureInfo.InvariantCulture);
            default:
                var parts = value.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance)
                    .Where(property => property.GetIndexParameters().Length == 0);
                return $"{{{string.Join(", ", parts.Select(part => $"{part.Name}: {Everything(part.GetValue(value))}"))}}}\n";
        }
    }
}
