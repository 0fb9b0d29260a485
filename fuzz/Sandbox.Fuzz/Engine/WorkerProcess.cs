using System.Diagnostics;
using System.Text;

namespace Sandbox.Fuzz.Engine;

/// <summary>Starts this program, usually its instrumented copy, as another process.</summary>
static class WorkerProcess
{
    /// <summary>The start of the error output names the failure; a recursion's frames after it are endless.</summary>
    private const int MaximumErrorOutput = 64 * 1024;

    public static Process Start(string program, IReadOnlyList<string> arguments, Action<string>? onErrorLine)
    {
        string host = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH")
            ?? (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? Environment.ProcessPath! : "dotnet");
        ProcessStartInfo info = new(host) { RedirectStandardError = onErrorLine is not null };
        info.ArgumentList.Add("exec");
        info.ArgumentList.Add(program);
        foreach (string argument in arguments)
            info.ArgumentList.Add(argument);
        // A dump of every crash would fill the disk.
        info.Environment["DOTNET_DbgEnableMiniDump"] = "0";
        Process process = Process.Start(info) ?? throw new InvalidOperationException($"cannot start {host}");
        if (onErrorLine is not null)
        {
            process.ErrorDataReceived += (_, e) =>
            {
                if (e.Data is not null)
                    onErrorLine(e.Data);
            };
            process.BeginErrorReadLine();
        }
        return process;
    }

    public static void Keep(StringBuilder output, string line)
    {
        lock (output)
            if (output.Length < MaximumErrorOutput)
                output.AppendLine(line);
    }
}
