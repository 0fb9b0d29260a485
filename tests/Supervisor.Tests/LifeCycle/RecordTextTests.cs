using System.Text;
using Sandbox.Supervisor.LifeCycle;
using Sandbox.Supervisor.Planning;
using Xunit;

namespace Sandbox.Supervisor.Tests.LifeCycle;

public class RecordTextTests
{
    static readonly SandboxId s_id = new(0x0123456789ab);

    static string Text(SandboxRecord record) => Encoding.UTF8.GetString(RecordText.Write(record));

    static SandboxRecord? Parse(string text) => RecordText.Parse(Encoding.UTF8.GetBytes(text));

    [Fact]
    public void EveryGrantHasAKind() => Assert.All(typeof(Grant).GetNestedTypes(), kind => Assert.NotEmpty(
        RecordText.KindOf((Grant)System.Runtime.CompilerServices.RuntimeHelpers.GetUninitializedObject(kind))));

    [Fact]
    public void WhatIsWrittenIsReadBack()
    {
        foreach (SandboxRecord record in (SandboxRecord[])[Records.Simple(s_id), Records.Full(s_id)])
        {
            SandboxRecord read = RecordText.Parse(RecordText.Write(record))!;
            Assert.Equal(Text(record), Text(read));
            Assert.Equal(record.Command, read.Command);
            Assert.Equal(record.Groups, read.Groups);
            Assert.Equal(record.Required, read.Required);
            Assert.Equal(record.Descriptors, read.Descriptors);
            Assert.Equal(record.Socket, read.Socket);
            Assert.Equal(record.Jail, read.Jail);
            Assert.Equal(record.End, read.End);
            Assert.Equal((record.Name, record.Policy, record.Limits, record.GroupLimits), (read.Name, read.Policy, read.Limits, read.GroupLimits));
        }
    }

    [Fact]
    public void NothingInARecordBreaksItsLines() =>
        Assert.All(Text(Records.Full(s_id)).Split('\n'), line => Assert.DoesNotContain(line, char.IsControl));

    [Fact]
    public void ARecordThatIsCutAnywhereIsNone()
    {
        byte[] whole = RecordText.Write(Records.Full(s_id));
        for (int length = 0; length < whole.Length; length++)
            Assert.Null(RecordText.Parse(whole.AsSpan(0, length)));
        Assert.Null(RecordText.Parse([.. whole, (byte)'\n']));
    }

    [Theory]
    [InlineData("sandbox state 1", "sandbox state 2")]
    [InlineData("id 0123456789ab", "id 0123456789AB")]
    [InlineData("id 0123456789ab", "id 123456789ab")]
    [InlineData("name web-1_a.b", "name ../x")]
    [InlineData("name web-1_a.b", "name 0123456789ab")]
    [InlineData("vmm 101", "vmm 99999999999")]
    [InlineData("vmm 101", "vmm -1")]
    [InlineData("vmm 101", "vmm 0101")]
    [InlineData("vmm 101", "vmm 101\nvmm 102")]
    [InlineData("vmm 101", "vmm 101\nmore 1")]
    [InlineData("group 1 3 /sys/fs/cgroup/memory/", "group 1 3 /sys/fs/cgroup/../")]
    [InlineData("group 1 3 /sys/fs/cgroup/memory/", "group 1 3 sys/")]
    [InlineData("group 1 3 /sys", "group 3 3 /sys")]
    [InlineData("group 1 3 /sys", "group 1 32 /sys")]
    [InlineData("sandbox-1-2-3\ngroup-limits", "system.slice\ngroup-limits")]
    [InlineData("required seccomp", "required nothing")]
    [InlineData("required seccomp", "required namespaces")]
    [InlineData("descriptor mount", "descriptor kvm")]
    [InlineData("socket 18446744073709551615 /run", "socket 18446744073709551616 /run")]
    [InlineData("socket 18446744073709551615 /run", "socket -1 /run")]
    [InlineData("socket 18446744073709551615 /run", "socket 05 /run")]
    [InlineData("socket 18446744073709551615 /run", "socket 5 run")]
    [InlineData("socket 18446744073709551615 /run", "socket 5 /\\0000")]
    [InlineData("socket 18446744073709551615 /run", "socket /run")]
    [InlineData("ended 1764000100000 137", "ended 1764000100000 256")]
    [InlineData("\\005c040", "\\005C040")]
    [InlineData("\\005c040", "\\0041")]
    [InlineData("\\005c040", "\\x")]
    public void WhatIsNotWrittenSoIsNotRead(string part, string instead)
    {
        string text = Text(Records.Full(s_id));
        Assert.Contains(part, text, StringComparison.Ordinal);
        Assert.Null(Parse(text.Replace(part, instead, StringComparison.Ordinal)));
    }

    /// <summary>However much fits into the file: whoever shows it counts on that.</summary>
    [Fact]
    public void NoTextIsLongerThanWhatIsWritten()
    {
        static string Long(int length) => new('x', length);
        SandboxRecord full = Records.Full(s_id);
        Assert.NotNull(RecordText.Parse(RecordText.Write(full with { Policy = Long(RecordText.MaximumText), Command = [Long(4000), Long(96)] })));
        foreach (SandboxRecord record in (SandboxRecord[])
        [
            full with { Policy = Long(RecordText.MaximumText + 1) },
            full with { Command = [Long(4097)] },
            full with { Command = [Long(4000), Long(97)] },
            full with { Jail = full.Jail with { Reason = Long(RecordText.MaximumText + 1) } },
            full with { End = full.End! with { Line = Long(RecordText.MaximumText + 1) } },
            full with { Groups = [full.Groups[0] with { Folder = $"/{Long(4096)}/sandbox-1-2-3" }] },
        ])
            Assert.Null(RecordText.Parse(RecordText.Write(record)));
    }

    [Fact]
    public void LongCommandsAreCut()
    {
        Assert.Equal(["a", "b"], RecordText.Cut(["a", "b"], out bool isCut));
        Assert.False(isCut);
        string[] many = RecordText.Cut([.. Enumerable.Repeat("x", 1000)], out isCut);
        Assert.True(isCut);
        Assert.InRange(many.Length, 1, 64);
        string[] one = RecordText.Cut([new string('x', 100_000)], out isCut);
        Assert.True(isCut);
        Assert.Equal(4096, Assert.Single(one).Length);
        // No half of a pair is left.
        Assert.Equal("x", RecordText.Cut("x\ud83d\ude00", 2));
    }
}
