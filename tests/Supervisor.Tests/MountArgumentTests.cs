using Sandbox.Supervisor.CommandLine;
using Xunit;

namespace Sandbox.Supervisor.Tests;

public class MountArgumentTests
{
    [Theory]
    [InlineData(".", ".", null, false)]
    [InlineData("/data", "/data", null, false)]
    [InlineData("/data:ro", "/data", null, false)]
    [InlineData("/data:rw", "/data", null, true)]
    [InlineData("/data:/x", "/data", "/x", false)]
    [InlineData("/data:/x:rw", "/data", "/x", true)]
    [InlineData("/data:/x:ro", "/data", "/x", false)]
    [InlineData("ro", "ro", null, false)]
    [InlineData("rw:rw", "rw", null, true)]
    [InlineData("/data:/ro:rw", "/data", "/ro", true)]
    [InlineData("/data:/x/", "/data", "/x", false)]
    [InlineData("/data://x///y//", "/data", "/x/y", false)]
    [InlineData("/data:/./x/.", "/data", "/x", false)]
    [InlineData("/data:/", "/data", "/", false)]
    [InlineData("/data:/x/...", "/data", "/x/...", false)]
    [InlineData(@"/a\:b", "/a:b", null, false)]
    [InlineData(@"/a\:b:/c\:d:rw", "/a:b", "/c:d", true)]
    [InlineData(@"/a\b", @"/a\b", null, false)]
    [InlineData(@"/a\", @"/a\", null, false)]
    [InlineData("../sibling", "../sibling", null, false)]
    public void Reads(string text, string host, string? guest, bool writable) =>
        Assert.Equal(new MountArgument(host, guest, writable), MountArgument.Parse(text));

    [Theory]
    [InlineData("/data:rw,quota=4K", null, 4096)]
    [InlineData("/data:/x:rw,quota=100M", "/x", 100 << 20)]
    public void ReadsAQuota(string text, string? guest, ulong quota) =>
        Assert.Equal(new MountArgument("/data", guest, true) { Quota = quota }, MountArgument.Parse(text));

    [Theory]
    [InlineData("", "names no host path")]
    [InlineData("/data:rw,quota=", "--mount: ")]
    [InlineData("/data:rw,quota=much", "--mount: ")]
    [InlineData("/data:rw,quota=4095", "at least 4 KiB")]
    [InlineData("/data:rw,quota=1M:rw", "must be absolute")]
    [InlineData("/data:ro,quota=1M", "must be absolute")]
    [InlineData("/data:rw,size=1M", "must be absolute")]
    [InlineData(":", "names no host path")]
    [InlineData(":/x", "names no host path")]
    [InlineData(":ro", "names no host path")]
    [InlineData("/data:", "empty guest path")]
    [InlineData("/data::ro", "empty guest path")]
    [InlineData("/data:x", "must be absolute")]
    [InlineData("/data:ro:rw", "must be absolute")]
    [InlineData("/data:RW", "must be absolute")]
    [InlineData("/data:/a:/b", "too many parts")]
    [InlineData("/data:/a:/b:ro", "too many parts")]
    [InlineData("/data:/a:ro:ro", "too many parts")]
    [InlineData("::::", "too many parts")]
    [InlineData("/data:/a/..", "must not hold '..'")]
    [InlineData("/data:/../etc", "must not hold '..'")]
    public void Refuses(string text, string reason) => OneLine.Refuses(reason, () => MountArgument.Parse(text));

    [Fact]
    public void RefusesGuestPathsThatTheKernelCouldNotHold()
    {
        OneLine.Refuses("longer than 255 bytes", () => MountArgument.Parse("/data:/" + new string('n', 256)));
        OneLine.Refuses("longer than 255 bytes", () => MountArgument.Parse("/data:/" + new string('ä', 128)));
        OneLine.Refuses("longer than 4095 bytes", () => MountArgument.Parse("/data:" + string.Concat(Enumerable.Repeat("/nn", 1366))));
    }

    [Fact]
    public void QuotesHostileTextHarmlessly()
    {
        string message = OneLine.Refuses("must be absolute", () => MountArgument.Parse("/data:\x1b[2J\n\u2028x" + new string('y', 5000)));
        Assert.Contains(@"\x1b[2J\x0a\x2028x", message, StringComparison.Ordinal);
    }
}
