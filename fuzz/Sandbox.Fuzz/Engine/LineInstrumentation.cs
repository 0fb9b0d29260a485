using System.Reflection;
using dnlib.DotNet;
using dnlib.DotNet.Emit;

namespace Sandbox.Fuzz.Engine;

/// <summary>Makes an assembly say which of its lines ran.</summary>
static class LineInstrumentation
{
    /// <summary>Such places have no line: the compiler made them up.</summary>
    private const int Hidden = 0xfeefee;

    /// <summary>Writes the instrumented assembly; its symbols are beside the original.</summary>
    /// <returns>The place of each probe, by its number.</returns>
    public static IReadOnlyList<(string File, int Line)> Write(string assembly, string target)
    {
        ModuleCreationOptions options = new() { PdbFileOrData = Path.ChangeExtension(assembly, "pdb") };
        using ModuleDefMD module = ModuleDefMD.Load(File.ReadAllBytes(assembly), options);
        if (module.PdbState is null)
            throw new InvalidOperationException($"no symbols beside {assembly}");
        AssemblyName self = typeof(LineProbe).Assembly.GetName();
        TypeRefUser probe = new(
            module, typeof(LineProbe).Namespace, nameof(LineProbe), new AssemblyRefUser(self.Name, self.Version));
        MethodSig signature = MethodSig.CreateStatic(module.CorLibTypes.Void, module.CorLibTypes.Int32);
        MemberRefUser hit = new(module, nameof(LineProbe.Hit), signature, probe);
        List<(string, int)> places = [];
        foreach (MethodDef method in module.GetTypes().SelectMany(type => type.Methods).Where(method => method.HasBody))
            Insert(method.Body, hit, places);
        module.Write(target);
        return places;
    }

    private static void Insert(CilBody body, MemberRefUser hit, List<(string File, int Line)> places)
    {
        body.SimplifyBranches();
        IList<Instruction> code = body.Instructions;
        for (int i = code.Count - 1; i >= 0; i--)
        {
            if (code[i].SequencePoint is not { StartLine: not Hidden } point)
                continue;
            // In place, so that whoever jumps here comes by.
            Instruction first = new(code[i].OpCode, code[i].Operand);
            code[i].OpCode = OpCodes.Ldc_I4;
            code[i].Operand = places.Count;
            code.Insert(i + 1, OpCodes.Call.ToInstruction(hit));
            code.Insert(i + 2, first);
            places.Add((point.Document.Url, point.StartLine));
        }
        body.OptimizeBranches();
    }
}
