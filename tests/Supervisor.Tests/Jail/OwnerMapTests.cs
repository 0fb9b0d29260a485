using Sandbox.Supervisor.Jail;
using Xunit;

namespace Sandbox.Supervisor.Tests.Jail;

public class OwnerMapTests
{
    [Theory]
    [InlineData(0u, 0x7000_1234u)]
    [InlineData(1000u, 0x7000_1234u)]
    [InlineData(0x7000_1233u, 0x7000_1234u)]
    [InlineData(0x7000_1234u, 0x7000_1234u)]
    [InlineData(0x7000_1235u, 0x7000_1234u)]
    [InlineData(uint.MaxValue - 1, 0x7000_1234u)]
    public void TheOwnerAppearsAsTheVmmAndEverybodyElseAsHimself(uint owner, uint vmm)
    {
        (uint First, uint Shown, uint Count)[] lines =
        [
            .. OwnerMap.Text(owner, vmm).Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => line.Split(' ').Select(uint.Parse).ToArray()).Select(n => (n[0], n[1], n[2])),
        ];
        uint? Shown(uint user) => lines.Where(line => user >= line.First && user - line.First < line.Count)
            .Select(line => (uint?)(line.Shown + (user - line.First))).SingleOrDefault();

        Assert.InRange(lines.Length, 1, 340); // the kernel's limit
        Assert.All(lines, line => Assert.True(line.Count > 0 && (ulong)line.First + line.Count <= uint.MaxValue));
        Assert.Equal(vmm, Shown(owner));
        if (owner != vmm)
            Assert.Null(Shown(vmm));
        foreach (uint other in (uint[])[0, 1, 999, 1000, 1001, owner - 1, owner + 1, vmm - 1, vmm + 1, uint.MaxValue - 1])
            if (other != owner && other != vmm && other != uint.MaxValue)
                Assert.Equal(other, Shown(other));
        // Nobody appears twice.
        Assert.Equal(lines.Length, lines.Select(line => line.Shown).Distinct().Count());
        foreach (var line in lines)
            Assert.DoesNotContain(lines, l => l != line && l.Shown < line.Shown + line.Count && line.Shown < l.Shown + l.Count);
    }

    [Fact]
    public void NoTwoSupervisorsShareANumberAndNoneIsAnAccount()
    {
        Assert.NotEqual(VmmUser.Of(1), VmmUser.Of(2));
        Assert.InRange(VmmUser.Of(4 << 20), 0x7000_0000u, (uint)int.MaxValue);
    }
}
