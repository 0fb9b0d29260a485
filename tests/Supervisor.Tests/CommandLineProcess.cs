using System.Diagnostics;
using System.Text.Json.Nodes;
using Sandbox.Supervisor.Doctor;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Launch;
using Xunit;

namespace Sandbox.Supervisor.Tests;

/// <summary>
/// The real command line as a process, with a fake VMM beside it: a copy of the build that this test project uses.
/// </summary>
sealed class CommandLineProcess : IDisposable
{
    readonly FakeVmm _vmm;
    readonly List<Process> _started = [];

    /// <param name="launches">The command line gets as far as starting its VMM, for which it opens /dev/kvm.</param>
    public CommandLineProcess(string vmmScript, bool launches = true)
    {
        Assert.SkipWhen(launches && KvmFacts.Ask().OpenError != 0, "/dev/kvm cannot be opened here");
        _vmm = new FakeVmm(vmmScript);
        string[] files =
        [
            "sandbox", "sandbox.dll", "sandbox.deps.json", "sandbox.runtimeconfig.json", "Sandbox.Host.dll",
            "Sandbox.Policy.Contract.dll", "Sandbox.Policy.Language.dll", "YamlDotNet.dll", "System.CommandLine.dll",
            "Serilog.dll", "Serilog.Formatting.Compact.dll", "SharpCompress.dll",
        ];
        foreach (string name in files)
            File.Copy(Path.Combine(AppContext.BaseDirectory, name), Path.Combine(Folder, name));
        BuildNoJail(Path.Combine(Folder, "sandbox.runtimeconfig.json"));
        WorkingDirectory = Folder;
    }

    // The fake VMM is a script, and needs the host's files.
    static void BuildNoJail(string configuration)
    {
        JsonNode root = JsonNode.Parse(File.ReadAllText(configuration))!;
        JsonNode options = root["runtimeOptions"]!;
        options["configProperties"] ??= new JsonObject();
        options["configProperties"]![EarlyVmm.WallsSetting] = $"{(int)JailWalls.NoNewPrivileges}";
        File.WriteAllText(configuration, root.ToJsonString());
    }

    public string Folder => _vmm.Folder;
    public string Sandbox => Path.Combine(Folder, "sandbox");
    public string WorkingDirectory { get; set; }

    public string Read(string name) => _vmm.Read(name);

    /// <summary>Runs "sandbox ARGUMENTS" to its end.</summary>
    public (int Status, string Output, string Error) Run(params string[] arguments) => Run(Start(arguments));

    public static (int Status, string Output, string Error) Run(Process process)
    {
        using (process)
        {
            process.StandardInput.Close();
            Task<string> error = process.StandardError.ReadToEndAsync();
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            if (!process.WaitForExit(60_000))
            {
                process.Kill(entireProcessTree: true);
                throw new TimeoutException("the command line did not end within a minute");
            }

            return (process.ExitCode, output.Result, error.Result);
        }
    }

    public Process Start(params string[] arguments) => Launch(Sandbox, arguments);

    /// <summary>Runs a shell script in which $sandbox is the command line.</summary>
    public (int Status, string Output, string Error) Shell(string script) => Run(Launch("/bin/bash", ["-c", script]));

    Process Launch(string program, string[] arguments)
    {
        // A shell that starts jobs in the background has them ignore SIGINT and SIGQUIT, and that is inherited.
        var start = new ProcessStartInfo("/usr/bin/env", ["--default-signal=INT,QUIT,HUP,TERM,TSTP", program, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = WorkingDirectory,
        };
        start.Environment["sandbox"] = Sandbox;
        Process process = Process.Start(start)!;
        try
        {
            // A second handle of its own: callers dispose of theirs.
            _started.Add(Process.GetProcessById(process.Id));
        }
        catch (ArgumentException)
        {
            // It has ended already.
        }

        return process;
    }

    /// <summary>A test that failed half-way leaves nothing running.</summary>
    public void Dispose()
    {
        foreach (Process process in _started)
        {
            using (process)
                if (!process.HasExited)
                    process.Kill(entireProcessTree: true);
        }

        _vmm.Dispose();
    }
}
