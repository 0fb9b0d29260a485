using Xunit;

namespace Sandbox.Supervisor.Tests;

/// <summary>What every refusal must be: one printable line of a readable length.</summary>
static class OneLine
{
    public static string Refuses(string expected, Func<object?> action)
    {
        UsageException mistake = Assert.ThrowsAny<UsageException>(() => { action(); });
        Assert.Contains(expected, mistake.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(mistake.Message, char.IsControl);
        Assert.InRange(mistake.Message.Length, 1, 800);
        return mistake.Message;
    }
}
