using System.Security.Cryptography;
using Sandbox.Host;
using Sandbox.Supervisor.Audit;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.Audit;

/// <summary>A log with its key and head in a folder of its own.</summary>
sealed class ScratchLog : IDisposable
{
    public ScratchLog()
    {
        Folder = Directory.CreateTempSubdirectory("sandbox-audit-").FullName;
        Log = Path.Combine(Folder, "logs", "a.log");
        Head = Path.Combine(Folder, "state", "a.head");
        Directory.CreateDirectory(Path.GetDirectoryName(Log)!);
    }

    public static AuditedRun Run { get; } = new("0123456789abcdef", "p.yaml", new string('d', 64), null, false);

    public string Folder { get; }
    public string Log { get; }
    public string Head { get; }
    public AuditKey Key { get; init; } = new(RandomNumberGenerator.GetBytes(AuditKey.Length));

    public byte[] Bytes
    {
        get => File.ReadAllBytes(Log);
        set => File.WriteAllBytes(Log, value);
    }

    /// <summary>With their newlines.</summary>
    public string[] Lines
    {
        get => [.. File.ReadAllText(Log).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line + "\n")];
        set => File.WriteAllText(Log, string.Concat(value));
    }

    public static AuditEvent Event(int number) => AuditEvent.Of(
        new DecisionRecord($"open /file{number} for read", number % 2 == 0, number % 2 == 0 ? "allowed" : "denied EACCES", null, 1, 250), Run, number);

    /// <summary>With a log and a head of the test's own.</summary>
    public AuditLog Open(Func<FileDescriptor, string, LogFile> file, Func<FileDescriptor, string, LogFile> head)
    {
        PrivateFile.MakeFolderOf(Head);
        return new AuditLog(file(PrivateFile.Open(Log, O_RDWR | O_CREAT)!, Log), head(PrivateFile.Open(Head, O_RDWR | O_CREAT)!, Head), Key);
    }

    public AuditLog Open() => AuditLog.Open(PrivateFile.Open(Log, O_RDWR | O_CREAT)!, Log, Head, Key);

    public ScratchLog Append(int first, int count)
    {
        using AuditLog log = Open();
        log.Append([.. Enumerable.Range(first, count).Select(Event)]);
        return this;
    }

    public LogReport Verify()
    {
        LogHead head = ReadHead();
        using FileDescriptor file = FileDescriptor.Open(Log, O_RDONLY);
        return LogVerifier.Verify(file, Log, new FileInfo(Log).Length, head, Key);
    }

    public LogHead ReadHead()
    {
        LogHead? head = LogHead.Read(File.ReadAllBytes(Head), Key, out string problem);
        Assert.True(head is not null, problem);
        return head!;
    }

    public void WriteHead(LogHead head) => File.WriteAllBytes(Head, head.Write(Key));

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
