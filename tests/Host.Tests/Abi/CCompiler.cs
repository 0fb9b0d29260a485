using System.Diagnostics;

namespace Sandbox.Host.Tests.Abi;

/// <summary>The C compiler as the judge of layouts and values.</summary>
internal static class CCompiler
{
    public const string Skip = "gcc is not installed";
    public const string SkipCxx = "g++ is not installed";

    public static bool Exists { get; } = Works("gcc");

    public static bool CxxExists { get; } = Works("g++");

    /// <summary>Compiles without producing anything; answers every diagnostic, nothing when all is well.</summary>
    public static string Check(string source, bool cxx = false)
    {
        var (status, _, diagnostics) = cxx
            ? Run("g++", ["-std=c++17", "-fsyntax-only", "-fmax-errors=0", "-w", "-x", "c++", "-"], source)
            : Run("gcc", ["-std=gnu11", "-fsyntax-only", "-fmax-errors=0", "-w", "-x", "c", "-"], source);
        if (status == 0)
            return "";
        return diagnostics.Length > 0 ? diagnostics : $"the compiler exited with {status} and said nothing";
    }

    /// <summary>Names of the object-like macros that a translation unit defines.</summary>
    public static HashSet<string> Macros(string source)
    {
        var (status, output, diagnostics) = Run("gcc", ["-E", "-dM", "-x", "c", "-"], source);
        if (status != 0)
            throw new InvalidOperationException(diagnostics);
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var line in output.Split('\n'))
        {
            var parts = line.Split(' ', 3);
            if (parts is ["#define", var name, ..] && !name.Contains('('))
                names.Add(name);
        }
        return names;
    }

    private static bool Works(string compiler)
    {
        try
        {
            return Run(compiler, ["--version"], "").Status == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    private static (int Status, string Output, string Diagnostics) Run(string program, string[] arguments, string input)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["LC_ALL"] = "C";
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var diagnostics = process.StandardError.ReadToEndAsync();
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        process.WaitForExit();
        return (process.ExitCode, output.Result, diagnostics.Result);
    }
}
