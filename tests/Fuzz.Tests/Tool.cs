using System.Diagnostics;

namespace Sandbox.Fuzz.Tests;

/// <summary>Runs the fuzzing program as fuzz/run does.</summary>
static class Tool
{
    public static int Run(out string output, params string[] arguments)
    {
        ProcessStartInfo info = new("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        info.ArgumentList.Add("exec");
        info.ArgumentList.Add(typeof(FuzzTarget).Assembly.Location);
        foreach (string argument in arguments)
            info.ArgumentList.Add(argument);
        using Process process = Process.Start(info)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        output += errors.Result;
        return process.ExitCode;
    }
}
