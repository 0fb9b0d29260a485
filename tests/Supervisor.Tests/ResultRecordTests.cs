using System.Text.Json;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Tests.Metrics;
using Xunit;

namespace Sandbox.Supervisor.Tests;

public class ResultRecordTests
{
    static JsonElement Write(Outcome outcome, GuestRecord? counted, GroupUsage? used = null, string? line = null) =>
        JsonDocument.Parse(new ResultRecord(7, line, outcome, counted, 5, used, []).Write()).RootElement;

    static readonly Outcome s_exited = new Outcome.Ended(EndCause.Exited, 0, 7, 0);

    [Fact]
    public void NumbersOfAVmmThatHasFallenAreNumbers()
    {
        GuestRecord record = default;
        System.Runtime.InteropServices.MemoryMarshal.AsBytes(new Span<GuestRecord>(ref record)).Fill(0xff);
        JsonElement root = Write(s_exited, record);
        Assert.Equal(ulong.MaxValue, root.GetProperty("vcpus").GetUInt64());
        Assert.Equal(GuestRecord.CpuidLimit, root.GetProperty("cpuid").GetArrayLength());
        Assert.Equal(GuestRecord.MachineExitLimit, root.GetProperty("exits").EnumerateObject().Count());
        record.Vcpus = 0;
        root = Write(s_exited, record);
        Assert.Equal(ulong.MaxValue, root.GetProperty("memoryPeakBytes").GetUInt64());
        Assert.Equal(GuestRecord.CallLimit, root.GetProperty("systemCalls").GetArrayLength());
        Assert.Equal("read", root.GetProperty("systemCalls")[0].GetProperty("name").GetString());
        Assert.Equal(GuestRecord.ExitNames, root.GetProperty("exits").EnumerateObject().Select(kind => kind.Name));
        Assert.Equal(["platform", "plan", "confined", "files", "personality", "inspection", "program"],
            root.GetProperty("startPhasesMicroseconds").EnumerateObject().Select(phase => phase.Name));
    }

    [Fact]
    public void OnlyWhatWasCountedIsTold()
    {
        JsonElement root = Write(s_exited, null);
        Assert.Equal(["version", "status", "cause", "vmmCpuMicroseconds", "walls"], root.EnumerateObject().Select(member => member.Name));
        root = Write(s_exited, default(GuestRecord), new GroupUsage(null, 1, 0) { PeakProcesses = 3 });
        Assert.Equal(["peakProcesses", "oomKills", "forksRefused"],
            root.GetProperty("controlGroup").EnumerateObject().Select(member => member.Name));
        Assert.Empty(root.GetProperty("systemCalls").EnumerateArray());
        Assert.Empty(root.GetProperty("startPhasesMicroseconds").EnumerateObject());
    }

    [Fact]
    public void TheSupervisorsPartOfTheStartIsTold()
    {
        ResultRecord record = new(0, null, s_exited, default(GuestRecord), 5, null, [])
        {
            StartedAt = 1_000_000, Jailed = new JailPhases { Clone = 1_500_000, Jail = 4_000_000, Planned = 3_000_000 },
        };
        JsonElement phases = JsonDocument.Parse(record.Write()).RootElement.GetProperty("startPhasesMicroseconds");
        Assert.Equal(["clone 500", "jail 3000", "planned 2000"],
            phases.EnumerateObject().Select(phase => $"{phase.Name} {phase.Value}"));
    }

    [Fact]
    public void ABalloonIsTold()
    {
        GuestRecord record = GuestRecords.Ballooned();
        JsonElement balloon = Write(s_exited, record).GetProperty("balloon");
        Assert.Equal((67108864, 33554432, 2), (balloon.GetProperty("targetBytes").GetInt32(),
            balloon.GetProperty("actualBytes").GetInt32(), balloon.GetProperty("reports").GetInt32()));
        JsonElement guest = balloon.GetProperty("guest");
        Assert.Equal(BalloonRecord.Count, guest.EnumerateObject().Count());
        Assert.Equal((209715200, 7), (guest.GetProperty("totalBytes").GetInt32(), guest.GetProperty("majorFaults").GetInt32()));
        record.Balloon.Reports = 0;
        Assert.False(Write(s_exited, record).GetProperty("balloon").TryGetProperty("guest", out _));
        Assert.False(Write(s_exited, GuestRecords.Machine()).TryGetProperty("balloon", out _));
    }

    [Fact]
    public void WhatTheGuestsProcessorIsIsTold()
    {
        JsonElement cpuid = Write(s_exited, GuestRecords.Processor()).GetProperty("cpuid");
        Assert.Equal(["leaf", "index", "eax", "ebx", "ecx", "edx"], cpuid[0].EnumerateObject().Select(member => member.Name));
        Assert.Equal(["0x8000001d", "0x1", "0x4021", "0x0", "0x0", "0x0"],
            cpuid[1].EnumerateObject().Select(member => member.Value.GetString()));
        Assert.Equal(2, cpuid.GetArrayLength());
        Assert.False(Write(s_exited, GuestRecords.Process()).TryGetProperty("cpuid", out _));
    }

    [Theory]
    [InlineData((int)EndCause.Signaled, "signaled")]
    [InlineData((int)EndCause.WallTimeLimit, "wallTimeLimit")]
    [InlineData(-1, "unknown")]
    public void ACauseIsAWord(int cause, string word) =>
        Assert.Equal(word, Write(new Outcome.Ended((EndCause)cause, 0, 9, 0), null).GetProperty("cause").GetString());

    [Fact]
    public void WhatTheSupervisorSawIsTold()
    {
        Assert.Equal("hostMemoryLimit", Write(new Outcome.HostMemoryLimit(1), null).GetProperty("cause").GetString());
        Assert.Equal("wallTimeLimit", Write(new Outcome.WallTimeEnforced(), null).GetProperty("cause").GetString());
        JsonElement died = Write(new Outcome.VmmDied(9), null, line: "the VMM \u0001 died");
        Assert.Equal(("failed", "the VMM \u0001 died"), (died.GetProperty("cause").GetString(), died.GetProperty("message").GetString()));
    }

    [Fact]
    public void AVmmWritesItOnceAndInOnePiece()
    {
        using FileDescriptor file = GuestRecordFile.Create();
        Assert.Null(GuestRecordFile.Read(file));
        int size = System.Runtime.InteropServices.Marshal.SizeOf<GuestRecord>();
        Assert.Equal(-Libc.EPERM, file.WriteAt([1], size));
        byte[] bytes = new byte[size];
        bytes[0] = (byte)GuestRecord.CurrentVersion;
        Assert.Equal(size, GuestRecordFile.Length);
        Assert.Equal(size, file.WriteAt(bytes, 0));
        Assert.Equal(GuestRecord.CurrentVersion, GuestRecordFile.Read(file)!.Value.Version);
        file.WriteAt([(byte)GuestRecord.CurrentVersion + 1], 0);
        Assert.Null(GuestRecordFile.Read(file));
    }
}
