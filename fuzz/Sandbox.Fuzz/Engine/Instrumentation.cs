using System.Security.Cryptography;
using dnlib.DotNet;
using SharpFuzz;
using SharpFuzz.Common;

namespace Sandbox.Fuzz.Engine;

/// <summary>
/// A copy of this program whose assemblies under test count the edges they take. Made beside the original, once for
/// each build of it.
/// </summary>
public static class Instrumentation
{
    private static readonly string[] UnderTest =
    [
        "sandbox-vmm.dll", "sandbox.dll", "Sandbox.Policy.Contract.dll", "Sandbox.Policy.Language.dll", "YamlDotNet.dll",
        "SharpCompress.dll",
    ];
    private const string LockName = "in-use";

    /// <summary>Path of the copy's main assembly.</summary>
    public static string Prepare()
    {
        string source = AppContext.BaseDirectory;
        string directory = Path.Combine(source, "instrumented", Fingerprint(source));
        string program = Path.Combine(directory, "Sandbox.Fuzz.dll");
        if (File.Exists(program))
            return program;
        string parent = Path.GetDirectoryName(directory)!;
        if (Directory.Exists(parent))
            // Not the half-made copies of runs that are starting now.
            foreach (string old in Directory.GetDirectories(parent).Where(d => !Path.GetFileName(d).Contains('.')))
                TryDelete(old);
        string temporary = $"{directory}.{Environment.ProcessId}";
        Directory.CreateDirectory(temporary);
        foreach (string file in Directory.GetFiles(source))
            File.Copy(file, Path.Combine(temporary, Path.GetFileName(file)));
        foreach (string name in UnderTest)
            Fuzzer.Instrument(Path.Combine(temporary, name), static _ => true, Options.Value);
        MakeThreadSafe(Path.Combine(temporary, Path.GetFileName(typeof(Trace).Assembly.Location)));
        try
        {
            Directory.Move(temporary, directory);
        }
        catch (IOException) when (File.Exists(program))
        {
            // Another run was faster.
            TryDelete(temporary);
        }
        return program;
    }

    /// <summary>
    /// Edges are pairs of successive blocks, and SharpFuzz remembers the previous block in one static field for all
    /// threads, so that threads would make up edges that no code has. In the copy the field is one for each thread.
    /// </summary>
    private static void MakeThreadSafe(string path)
    {
        using ModuleDefMD module = ModuleDefMD.Load(File.ReadAllBytes(path));
        TypeDef trace = module.Find(typeof(Trace).FullName, isReflectionName: true);
        FieldDef previous = trace.FindField(nameof(Trace.PrevLocation));
        TypeRef attribute = module.CorLibTypes.GetTypeRef(nameof(System), nameof(ThreadStaticAttribute));
        MemberRefUser constructor = new(module, ".ctor", MethodSig.CreateInstance(module.CorLibTypes.Void), attribute);
        previous.CustomAttributes.Add(new CustomAttribute(constructor));
        module.Write(path);
    }

    private static string Fingerprint(string directory)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string file in Directory.GetFiles(directory, "*.dll").Order(StringComparer.Ordinal))
            hash.AppendData(File.ReadAllBytes(file));
        const int nameBytes = 8;
        return Convert.ToHexStringLower(hash.GetHashAndReset().AsSpan(0, nameBytes));
    }

    /// <summary>Keeps a copy from being deleted while the result is open.</summary>
    /// <param name="program">From <see cref="Prepare"/>.</param>
    public static IDisposable Hold(string program) =>
        new FileStream(LockOf(Path.GetDirectoryName(program)!), FileMode.OpenOrCreate, FileAccess.Read, FileShare.Read);

    private static string LockOf(string directory) => Path.Combine(directory, LockName);

    /// <summary>
    /// False when it is still in use by a campaign of the previous build; the next build tries again.
    /// </summary>
    internal static bool TryDelete(string directory)
    {
        try
        {
            using (new FileStream(LockOf(directory), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None))
                Directory.Delete(directory, recursive: true);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
