using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Jail.Facts;
using Xunit;

namespace Sandbox.Supervisor.Tests.Jail.Facts;

/// <summary>The host's own files.</summary>
public class HostFactsTests
{
    [Fact]
    public void EverythingOfThisProcessIsUnderstoodAndNoWallStands()
    {
        Assert.Equal(0, ProcessFiles.TryOpen(Environment.ProcessId, out ProcessFiles? files));
        using (files)
        {
            JailFacts facts = FactReader.Read(files!, HostCgroupFiles.Instance, Environment.ProcessId, isRoot: true, [])!;
            JailExpectation expected = FakeProcess.Expectation with
            {
                Groups = [], Reported = StartOrders.None, User = 12345,
                HostNamespaces = [.. Namespaces.Of(files!, "").Select(link => link.Is(out string? known) ? known : "")],
            };
            IReadOnlyList<FactLine> lines = JailComparison.Of(facts, expected);
            Assert.DoesNotContain(lines, line => line.Verdict == FactVerdict.CannotBeRead && line.Name != "not dumpable");
            Assert.All(lines.Where(line => (line.Wall & JailWalls.Namespaces) != 0 && line.Expected.StartsWith("another", StringComparison.Ordinal)),
                line => Assert.Equal(FactVerdict.Missing, line.Verdict));
            Assert.Contains(lines, line => line.Name == "descriptors" && line.Verdict == FactVerdict.Weaker);
        }
    }

    [Fact]
    public void ADescriptorIsKnownByMountAndInode()
    {
        Assert.Equal(0, ProcessFiles.TryOpen(Environment.ProcessId, out ProcessFiles? files));
        using (files)
        using (FileDescriptor nowhere = FileDescriptor.Open("/dev/null", Libc.O_RDWR))
        {
            DescriptorFacts facts = FactReader.Descriptor(files!, nowhere.Value)!;
            nowhere.GetStatus(out stat status);
            Assert.Equal(status.st_ino, facts.Inode);
            Assert.True(facts.IsWritable && facts.Mount > 0 && facts.Target.Is(out string? target) && target == "/dev/null");
        }
    }

    [Fact]
    public void AProcessThatHasEndedAnswersNothing()
    {
        using System.Diagnostics.Process child = System.Diagnostics.Process.Start("/bin/sleep", "60");
        Assert.Equal(0, ProcessFiles.TryOpen(child.Id, out ProcessFiles? files));
        using (files)
        {
            Assert.NotNull(FactReader.StartTime(files!));
            child.Kill();
            child.WaitForExit();
            Assert.Null(FactReader.StartTime(files!));
            Assert.Null(FactReader.Read(files!, HostCgroupFiles.Instance, child.Id, isRoot: true, []));
        }

        Assert.Equal(-Libc.ENOENT, ProcessFiles.TryOpen(0x3fffff, out _));
    }
}
