using System.Globalization;
using System.Text.Json.Nodes;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Launch;

namespace Sandbox.Escape;

/// <summary>The supervisor as it is built beside the tests: its jail can lack walls, which the native one's cannot.</summary>
static class ManagedSupervisor
{
    const string Configuration = "sandbox.runtimeconfig.json";

    /// <summary>Puts one into a folder: <c>sandbox</c> and what it needs but the runtime and the VMM.</summary>
    /// <param name="walls">What its jail has.</param>
    public static void CopyTo(string folder, JailWalls walls)
    {
        foreach (string file in Directory.GetFiles(AppContext.BaseDirectory))
        {
            string name = Path.GetFileName(file);
            if (name is "sandbox" or "sandbox.deps.json" || name.EndsWith(".dll", StringComparison.Ordinal))
                File.Copy(file, Path.Combine(folder, name), overwrite: true);
        }

        JsonNode root = JsonNode.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, Configuration)))!;
        JsonNode options = root["runtimeOptions"]!;
        options["configProperties"] ??= new JsonObject();
        options["configProperties"]![EarlyVmm.WallsSetting] = ((int)walls).ToString(CultureInfo.InvariantCulture);
        File.WriteAllText(Path.Combine(folder, Configuration), root.ToJsonString());
    }
}
