using System.Buffers.Binary;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.Audit;

/// <summary>What a VMM says about a decision, in words.</summary>
static class DecisionText
{
    /// <summary>By number: "syscall" and the name.</summary>
    static readonly string[] s_calls =
        [.. Enumerable.Range(0, SystemCallTables.Limit)
            .Select(number => new Request.SystemCall(number, []).ToString())];

    /// <param name="message">Checked.</param>
    public static DecisionRecord Of(in DecisionMessage message, IRule? rule)
    {
        ReadOnlySpan<byte> request = ((ReadOnlySpan<byte>)message.Request)[..(int)message.Length];
        string text = message.Kind switch
        {
            DecisionKind.Look => $"look at {Path(request)}",
            DecisionKind.Move => Move(request),
            DecisionKind.SystemCall => Call(request),
            _ => new Request.Open(Path(request), message.Access).ToString(),
        };
        string result = message.Result switch
        {
            0 => "allowed",
            DecisionMessage.Killed => "denied, the guest is ended",
            int error => $"denied {Errno.Name(error)}",
        };
        return new DecisionRecord(
            text, message.Result == 0, result, rule, message.Process, message.Nanoseconds, message.Truncated != 0);
    }

    static string Move(ReadOnlySpan<byte> request)
    {
        int end = request.IndexOf((byte)0);
        return $"move {Path(request[..end])} to {Path(request[(end + 1)..])}";
    }

    static string Call(ReadOnlySpan<byte> request)
    {
        ulong number = BinaryPrimitives.ReadUInt64LittleEndian(request);
        var text = new StringBuilder(number < (ulong)s_calls.Length ? s_calls[number] : $"syscall {number}");
        for (int at = 8; at < request.Length; at += 8)
            text.Append($" 0x{BinaryPrimitives.ReadUInt64LittleEndian(request[at..]):x}");
        return text.ToString();
    }

    /// <summary>A path as text: what is no printable UTF-8 becomes \xHH, and a backslash two.</summary>
    public static string Path(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder(bytes.Length);
        while (!bytes.IsEmpty)
        {
            bool good = Rune.DecodeFromUtf8(bytes, out Rune rune, out int count) == System.Buffers.OperationStatus.Done;
            if (rune.Value == '\\' && good)
                text.Append(@"\\");
            else if (good && !Rune.IsControl(rune) && rune.Value is not (0x2028 or 0x2029))
                text.Append(rune.ToString());
            else
                foreach (byte b in bytes[..count])
                    text.Append($"\\x{b:x2}");
            bytes = bytes[count..];
        }

        return text.ToString();
    }
}
