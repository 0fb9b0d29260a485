using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail.Facts;
using Xunit;

namespace Sandbox.Supervisor.Tests.Jail.Facts;

public class ExpectationTextTests
{
    static readonly JailExpectation s_expected = FakeProcess.Expectation with
    {
        Told = "clone3: no\n", Reported = null,
        Descriptors = [.. FakeProcess.Expectation.Descriptors, new("/wörk\n", 27, ulong.MaxValue, "/wörk\n", true, true)],
    };

    [Fact]
    public void WhatIsWrittenIsRead()
    {
        byte[] text = ExpectationText.Write(s_expected);
        JailExpectation read = ExpectationText.Parse(text)!;
        Assert.Equal(text, ExpectationText.Write(read));
        Assert.Equal(s_expected.Descriptors, read.Descriptors);
        Assert.Equal(s_expected.Groups[0].Values, read.Groups[0].Values);
        Assert.Null(read.Reported);
        read = ExpectationText.Parse([.. text, .. ExpectationText.Write(StartOrders.Landlock | StartOrders.Seccomp)])!;
        Assert.Equal(StartOrders.Landlock | StartOrders.Seccomp, read.Reported);
    }

    [Theory]
    [InlineData("\"version\":2", "\"version\":3")]
    [InlineData("\"version\":2", "\"version\":2,\"version\":2")]
    [InlineData("\"version\":2", "\"version\": 2")]
    [InlineData("\"wanted\":", "\"wanted\":9")]
    [InlineData("\"user:[1]\"", "\"user:[x]\"")]
    [InlineData("\"user:[1]\",", "")]
    [InlineData("\"user\":", "\"user\":-")]
    [InlineData("\"told\"", "\"tale\"")]
    [InlineData("memory.max", "../memory.max")]
    [InlineData("/sys/fs/cgroup/g", "/sys/../etc")]
    [InlineData("/sys/fs/cgroup/g", "sys")]
    [InlineData("\"74\",0", "\"74\",9")]
    [InlineData("24,3,null,false,true", "24,3,null,false")]
    [InlineData("24,3,null,false,true", "24,-3,null,false,true")]
    [InlineData("24,3,null,false,true", "24,3,null,0,true")]
    [InlineData("}\n", "}")]
    [InlineData("}\n", "}\n@\n")]
    [InlineData("}\n", "}\n3")]
    [InlineData("}\n", "}\n3\n3\n")]
    public void WhatIsNotWrittenSoIsRefused(string part, string instead)
    {
        string text = Encoding.UTF8.GetString(ExpectationText.Write(s_expected));
        Assert.Contains(part, text, StringComparison.Ordinal);
        int at = text.IndexOf(part, StringComparison.Ordinal);
        Assert.Null(ExpectationText.Parse(Encoding.UTF8.GetBytes(text[..at] + instead + text[(at + part.Length)..])));
    }

    [Fact]
    public void NothingHugeIsRead() =>
        Assert.Null(ExpectationText.Parse([.. ExpectationText.Write(s_expected), .. new byte[ExpectationText.MaximumBytes]]));
}
