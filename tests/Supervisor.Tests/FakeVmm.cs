using System.Runtime.InteropServices;
using Sandbox.Policy.Contract;
using Xunit;

namespace Sandbox.Supervisor.Tests;

/// <summary>A folder with a shell script in place of sandbox-vmm, which talks to its channel as the test says.</summary>
sealed class FakeVmm : IDisposable
{
    /// <summary>Takes the Start message from the channel.</summary>
    public const string TakeMessage = "dd bs=64 count=1 <&3 2>/dev/null | od -An -v -tx1 | tr -d ' \\n'";

    public FakeVmm(string script)
    {
        Folder = Directory.CreateTempSubdirectory("sandbox-test-").FullName;
        Program = Path.Combine(Folder, "sandbox-vmm");
        File.WriteAllText(Program, $"#!/bin/bash\nPATH=/usr/bin:/bin\ncd '{Folder}'\n{script}\n");
        File.SetUnixFileMode(Program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    public string Folder { get; }
    public string Program { get; }

    public static string Send(MessageKind kind, EndCause cause = 0, long value = 0, long detail = 0, uint version = 1) =>
        Send(MemoryMarshal.AsBytes([new ChannelMessage { Version = version, Kind = kind, Cause = cause, Value = value, Detail = detail }]));

    /// <summary>A shell command that sends these bytes as one message.</summary>
    public static string Send(ReadOnlySpan<byte> bytes)
    {
        var escaped = new System.Text.StringBuilder();
        foreach (byte b in bytes)
            escaped.Append('\\').Append(Convert.ToString(b, 8).PadLeft(3, '0'));
        return $"printf '{escaped}' >&3";
    }

    public string Read(string name) => File.ReadAllText(Path.Combine(Folder, name));

    public void Dispose() => Assert.True(SpinWait.SpinUntil(IsDeleted, 10_000), $"{Folder} is still written to");

    /// <summary>What a killed script had started may make one more file while its folder is being emptied.</summary>
    bool IsDeleted()
    {
        try
        {
            Directory.Delete(Folder, recursive: true);
            return true;
        }
        catch (IOException) when (Directory.Exists(Folder))
        {
            return false;
        }
    }
}
