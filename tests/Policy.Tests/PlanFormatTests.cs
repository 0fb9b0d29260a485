using System.Collections;
using System.Reflection;
using System.Text;
using Sandbox.Policy.Contract;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>The plan's wire form, byte by byte; what the values may be is for <see cref="LaunchPlanTests"/>.</summary>
public class PlanFormatTests
{
    const int VersionAt = 8;

    /// <summary>Far above what reading itself needs, far below what a length that lies could ask for.</summary>
    const int AllocationPerByte = 32, AllocationAlways = 64 << 10;

    static LaunchPlan Plan { get; } = LaunchPlanTests.Plan;

    static byte[] Bytes { get; } = Plan.Serialize();

    static void Refuses(ReadOnlySpan<byte> bytes, string reason)
    {
        byte[] copy = bytes.ToArray();
        var refusal = Assert.Throws<PlanException>(() => LaunchPlan.Deserialize(copy));
        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
    }

    /// <summary>A plan has one form: what is read, even though it was tampered with, is written as it was.</summary>
    static void ReadsAsItIsOrRefuses(byte[] bytes)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        LaunchPlan? plan = null;
        try
        {
            plan = PlanFormat.Read(bytes);
        }
        catch (PlanException)
        {
        }
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated < AllocationPerByte * bytes.Length + AllocationAlways, $"{allocated} bytes of memory");
        Assert.True(plan is null || plan.Serialize().AsSpan().SequenceEqual(bytes));
    }

    /// <summary>The first byte in which two plans differ.</summary>
    static int Difference(LaunchPlan one, LaunchPlan other) =>
        one.Serialize().AsSpan().CommonPrefixLength(other.Serialize());

    static byte[] With(byte[] bytes, int at, params byte[] values)
    {
        byte[] changed = [.. bytes];
        values.CopyTo(changed, at);
        return changed;
    }

    static int LengthBefore(ReadOnlySpan<byte> text)
    {
        int at = Bytes.AsSpan().IndexOf(text);
        Assert.True(at > sizeof(int));
        return at - sizeof(int);
    }

    [Fact]
    public void ReadsWhatItWrote() => Assert.Equivalent(Plan, LaunchPlan.Deserialize(Bytes), strict: true);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    public void ReadsEveryMemberOfEveryRecord(int round)
    {
        LaunchPlan plan = FilledPlan.Make(round);
        LaunchPlan read = PlanFormat.Read(PlanFormat.Write(plan));
        Assert.Equivalent(plan, read, strict: true);
        if (round == 0)
            DiffersFromDefaults(plan);
    }

    /// <summary>The test above says nothing about a member that is what it would be without being read.</summary>
    static void DiffersFromDefaults(object record)
    {
        object defaults = Activator.CreateInstance(record.GetType())!;
        foreach (PropertyInfo member in FilledPlan.Members(record.GetType()))
        {
            object? value = member.GetValue(record);
            Assert.NotNull(value);
            Assert.NotEqual(member.GetValue(defaults), value);
            if (FilledPlan.IsRecord(member.PropertyType))
                DiffersFromDefaults(value);
            else if (value is Array { Length: > 0 } array && FilledPlan.IsRecord(member.PropertyType.GetElementType()!))
                foreach (object element in (IEnumerable)array)
                    DiffersFromDefaults(element);
        }
    }

    [Fact]
    public void ReadsEmptyListsAndLargeTables()
    {
        int[] decisions = [.. Enumerable.Range(0, 1 << 20)];
        PathTables tables = Plan.PathRules! with { Decisions = decisions };
        LaunchPlan plan = Plan with { Arguments = [], Files = [], PathRules = tables };
        LaunchPlan read = PlanFormat.Read(PlanFormat.Write(plan));
        Assert.Empty(read.Arguments);
        Assert.Empty(read.Files);
        Assert.True(decisions.AsSpan().SequenceEqual(read.PathRules!.Decisions));
        Assert.Equal(plan.StartedAtNanoseconds, read.StartedAtNanoseconds);
    }

    [Fact]
    public void RefusesPlansThatAreCut()
    {
        byte[] all = FilledPlan.Make(round: 0).Serialize();
        PlanFormat.Read(all);
        for (int length = 0; length < all.Length; length++)
            Assert.Throws<PlanException>(() => PlanFormat.Read(all.AsSpan(0, length)));
    }

    [Fact]
    public void RefusesWhatFollowsAPlan()
    {
        Refuses([.. Bytes, 0], "behind its end");
        Refuses([.. Bytes, .. Bytes], "behind its end");
    }

    [Fact]
    public void ThrowsNothingElseWhateverByteIsChanged()
    {
        byte[] all = FilledPlan.Make(round: 0).Serialize();
        for (int at = 0; at < all.Length; at++)
        {
            ReadsAsItIsOrRefuses(With(all, at, (byte)~all[at]));
            for (int bit = 0; bit < 8; bit++)
                ReadsAsItIsOrRefuses(With(all, at, (byte)(all[at] ^ 1 << bit)));
        }
    }

    /// <summary>The rules see whatever the wire form lets through.</summary>
    [Fact]
    public void TheRulesThrowNothingElseEither()
    {
        int read = 0;
        for (int at = 0; at < Bytes.Length; at++)
        {
            try
            {
                LaunchPlan.Deserialize(With(Bytes, at, (byte)(Bytes[at] ^ 1)));
                read++;
            }
            catch (PlanException)
            {
            }
        }
        Assert.InRange(read, 1, Bytes.Length - 1);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(int.MaxValue)]
    [InlineData(0x0100_0000)]
    public void MakesNoRoomForWhatIsNotThere(int length)
    {
        byte[] all = FilledPlan.Make(round: 0).Serialize();
        for (int at = 0; at <= all.Length - sizeof(int); at++)
            ReadsAsItIsOrRefuses(With(all, at, BitConverter.GetBytes(length)));
    }

    [Fact]
    public void RefusesLengthsBeyondTheEnd()
    {
        int at = LengthBefore("/home/sandbox"u8);
        foreach (int length in (int[])[-1, int.MinValue, int.MaxValue, Bytes.Length - at - sizeof(int) + 1])
            Refuses(With(Bytes, at, BitConverter.GetBytes(length)), "a length beyond");
        // A text takes four bytes at least, and there is more in the plan than arguments.
        Refuses(With(Bytes, VersionAt + sizeof(int), BitConverter.GetBytes(Bytes.Length / 4)), "a length beyond");
    }

    [Theory]
    [InlineData(new byte[] { 0xff })]
    [InlineData(new byte[] { 0x80 })]
    [InlineData(new byte[] { 0xc0, 0xaf })]
    [InlineData(new byte[] { 0xe0, 0x80, 0xaf })]
    [InlineData(new byte[] { 0xed, 0xa0, 0x80 })]
    [InlineData(new byte[] { 0xf4, 0x90, 0x80, 0x80 })]
    [InlineData(new byte[] { 0xe2, 0x82, (byte)'x' })]
    public void RefusesTextThatIsNotUtf8(byte[] wrong) =>
        Refuses(With(Bytes, LengthBefore("/home/sandbox"u8) + sizeof(int) + 1, wrong), "not UTF-8");

    [Fact]
    public void RefusesTextThatIsCutInsideACharacter()
    {
        LaunchPlan plan = Plan with { WorkingDirectory = "/\u20ac" };
        byte[] bytes = plan.Serialize();
        int at = bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(plan.WorkingDirectory));
        Refuses(With(bytes, at - sizeof(int), 3), "not UTF-8");
    }

    [Fact]
    public void WritesNoHalfSurrogatePairs()
    {
        foreach (string text in (string[])["\ud83d", "x\ude00y", "\ude00\ud83d"])
        {
            Assert.Throws<PlanException>(() => (Plan with { Hostname = text }).Serialize());
            Assert.Throws<PlanException>(() => (Plan with { Arguments = ["a", text] }).Serialize());
        }
    }

    public static TheoryData<string, LaunchPlan, LaunchPlan> Flags => new()
    {
        { "handoff", Plan, Plan with { Handoff = false } },
        { "terminal", Plan, Plan with { Streams = Plan.Streams with { Terminal = true } } },
        { "writable", Plan with { Files = [File] }, Plan with { Files = [File with { Writable = true }] } },
        { "a content", Plan with { Files = [File] }, Plan with { Files = [File with { Content = "" }] } },
        { "path rules", Plan, Plan with { PathRules = null } },
        { "call rules", Plan with { PathRules = null }, Plan with { PathRules = null, SystemCallRules = null } },
    };

    static GuestFile File { get; } = new() { Kind = GuestFileKind.Host, Path = "/x", Descriptor = 0 };

    [Theory, MemberData(nameof(Flags), DisableDiscoveryEnumeration = true)]
    public void RefusesFlagsThatAreNeither(string what, LaunchPlan plan, LaunchPlan other)
    {
        Assert.NotEmpty(what);
        int at = Difference(plan, other);
        byte[] bytes = plan.Serialize();
        Assert.True(bytes[at] is 0 or 1);
        foreach (byte neither in (byte[])[2, 0x80, 0xff])
            Refuses(With(bytes, at, neither), "a choice");
    }

    [Fact]
    public void RefusesKindsThatThereAreNot()
    {
        LaunchPlan plan = Plan with { Files = [File] };
        byte[] bytes = plan.Serialize();
        int at = Difference(plan, Plan with { Files = [File with { Kind = GuestFileKind.Text }] });
        Assert.Equal((byte)GuestFileKind.Host, bytes[at]);
        Refuses(With(bytes, at, (byte)Enum.GetValues<GuestFileKind>().Length), "a choice");
        Refuses(With(bytes, at, 0xff), "a choice");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(LaunchPlan.CurrentVersion - 1)]
    [InlineData(LaunchPlan.CurrentVersion + 1)]
    [InlineData(-1)]
    public void RefusesOtherVersions(int version)
    {
        Refuses((Plan with { Version = version }).Serialize(), $"version {version}");
        // Before it looks at anything that another version may have meant otherwise.
        byte[] changed = With(Bytes, VersionAt, BitConverter.GetBytes(version));
        Refuses(changed.AsSpan(0, VersionAt + sizeof(int)), $"version {version}");
    }

    [Theory]
    [InlineData("")]
    [InlineData("sandbox")]
    [InlineData("{\"version\":1}")]
    [InlineData("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")]
    public void RefusesWhatIsNoPlan(string text) => Refuses(Encoding.UTF8.GetBytes(text), "launch plan");
}
