using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>What <c>./sandbox</c> does before there is a program to run.</summary>
public sealed class BuildScriptTests
{
    [Theory]
    [InlineData("unset HOME", true)]
    [InlineData("HOME=/nonexistent", true)]
    [InlineData("HOME=$PWD", false)]
    public void Without_a_home_to_write_to_the_SDK_gets_one(string home, bool replaced)
    {
        Tool.Need("dotnet");
        string folder = Case.NewFolder("home");
        Outcome outcome = Native.Run(
            ["bash", "-euc", $"root='{folder}'; source '{Ring.Repository}/tools/build.sh'; cp '{Ring.Repository}/global.json' .;"
                + $" {home}; require_sdk; echo \"${{DOTNET_CLI_HOME-none}}\""], folder);
        Assert.Equal((0, replaced ? $"{folder}/build/home\n" : "none\n"), (outcome.Status, outcome.Text));
    }
}
