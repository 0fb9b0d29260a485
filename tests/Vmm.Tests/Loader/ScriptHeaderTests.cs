using System.Text;
using Sandbox.Vmm.Personality.Loader;
using Xunit;

namespace Sandbox.Vmm.Tests.Loader;

public class ScriptHeaderTests
{
    // What Linux 6.18 makes of the same lines was tried with execve(2).
    [Theory]
    [InlineData("#!/bin/sh\n", "/bin/sh", "")]
    [InlineData("#!/bin/sh", "/bin/sh", "")]
    [InlineData("#! \t /bin/sh\t \n", "/bin/sh", "")]
    [InlineData("#!/bin/echo a b  c \t\nfoo", "/bin/echo", "a b  c")]
    [InlineData("#!/usr/bin/env python3\nimport os\n", "/usr/bin/env", "python3")]
    [InlineData("#!/bin/sh\0junk\n", "/bin/sh", "")]
    [InlineData("#!/bin/sh -a\0junk\n", "/bin/sh", "-a")]
    [InlineData("#!sh\n", "sh", "")]
    public void Parses(string text, string interpreter, string argument)
    {
        Assert.True(ScriptHeader.TryParse(Encoding.Latin1.GetBytes(text), out ScriptHeader header));
        Assert.Equal(interpreter, Encoding.Latin1.GetString(header.Interpreter));
        Assert.Equal(argument, Encoding.Latin1.GetString(header.Argument));
    }

    [Theory]
    [InlineData("")]
    [InlineData("#")]
    [InlineData("echo hello\n")]
    [InlineData(" #!/bin/sh\n")]
    [InlineData("#!")]
    [InlineData("#!\n/bin/sh\n")]
    [InlineData("#!   \t \n")]
    [InlineData("#!\0/bin/sh\n")]
    public void Refuses(string text) =>
        Assert.False(ScriptHeader.TryParse(Encoding.Latin1.GetBytes(text), out _));

    [Fact]
    public void APathThatDoesNotFitIsRefused()
    {
        string text = "#!" + new string('/', 300) + "bin/sh\n";
        Assert.False(ScriptHeader.TryParse(Encoding.Latin1.GetBytes(text).AsSpan(0, ScriptHeader.LineLimit), out _));
    }

    [Fact]
    public void AnArgumentThatDoesNotFitIsCut()
    {
        string text = "#!/bin/echo " + new string('x', 300) + "\n";
        Assert.True(ScriptHeader.TryParse(Encoding.Latin1.GetBytes(text).AsSpan(0, ScriptHeader.LineLimit), out var header));
        Assert.Equal(ScriptHeader.LineLimit - 1 - "#!/bin/echo ".Length, header.Argument.Length);
    }

    [Fact]
    public void ALineOfExactlyTheLimitIsWhole()
    {
        byte[] text = Encoding.Latin1.GetBytes("#!/" + new string('a', 252) + "\nrest");
        Assert.True(ScriptHeader.TryParse(text.AsSpan(0, ScriptHeader.LineLimit), out var header));
        Assert.Equal(253, header.Interpreter.Length);
    }
}
