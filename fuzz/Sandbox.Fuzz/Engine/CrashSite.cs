using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;

namespace Sandbox.Fuzz.Engine;

/// <summary>
/// Where something went wrong: the kind of failure and the innermost frames of our own code. Two inputs with the same
/// site are one bug until somebody shows otherwise.
/// </summary>
public sealed record CrashSite(string Kind, string Frames, string Report)
{
    private const int FrameCount = 4;
    private const int IdentityBytes = 4;

    /// <summary>Short, stable from run to run, and fit for a directory name.</summary>
    public string Id
    {
        get
        {
            byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(Kind + "\n" + Frames));
            return $"{Kind}-{Convert.ToHexStringLower(hash.AsSpan(0, IdentityBytes))}";
        }
    }

    public static CrashSite Of(Exception exception)
    {
        if (exception is EscapedException escaped)
            return OfText(escaped.Message);
        // What an oracle found wrong says more than where it looked, and the compiler may inline those frames.
        if (exception is OracleException)
            return new CrashSite(nameof(OracleException), WithoutNumbers(exception.Message), exception.ToString());
        List<string> frames = [];
        foreach (StackFrame frame in new StackTrace(exception, false).GetFrames())
        {
            if (frame.GetMethod() is not { } method || frames.Count == FrameCount)
                continue;
            string name = $"{method.DeclaringType?.FullName}.{method.Name}";
            if (name.StartsWith("Sandbox.", StringComparison.Ordinal))
                frames.Add(name);
        }
        return new CrashSite(exception.GetType().Name, string.Join('\n', frames), exception.ToString());
    }

    private static string WithoutNumbers(string message) => string.Concat(message.Where(static c =>
        !char.IsAsciiDigit(c)));

    /// <summary>An exception that has already become text: "Type: message" and frames.</summary>
    private static CrashSite OfText(string text)
    {
        string type = text.Split(':', '\n')[0];
        return new CrashSite(type[(type.LastIndexOf('.') + 1)..], FramesIn(text), text);
    }

    /// <summary>A worker's death: .NET prints the frames of what it cannot survive.</summary>
    public static CrashSite OfDeath(int exitCode, string errorOutput) =>
        new($"died{exitCode}", FramesIn(errorOutput), errorOutput);

    private static string FramesIn(string text)
    {
        IEnumerable<string> frames = text.Split('\n')
            .Select(line => line.Trim())
            .Where(line => line.StartsWith("at Sandbox.", StringComparison.Ordinal))
            .Select(line => line.IndexOf('(') is > 0 and int end ? line[..end] : line)
            // A deep recursion repeats itself: the set of frames names it better than their order.
            .Distinct()
            .Take(FrameCount);
        return string.Join('\n', frames);
    }

    public static CrashSite OfHang(TimeSpan limit) => new("hang", "",
        $"still running after {limit.TotalSeconds} s of CPU time, or far longer asleep");
}
