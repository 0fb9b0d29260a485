using System.Globalization;
using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using Xunit;

namespace Sandbox.Host.Tests.Abi;

/// <summary>
/// Every structure and constant of the host ABI is compared with this host's headers by the C compiler. A name that
/// is missing from the headers fails unless a table says why.
/// </summary>
public partial class AbiTests
{
    [Fact]
    public void Structures_agree_with_the_headers()
    {
        Assert.SkipUnless(CCompiler.Exists, CCompiler.Skip);
        Assert.True(AbiLayout.Structs.Count > 80, $"only {AbiLayout.Structs.Count} structures found");

        var asserts = Headers.Units.Keys.ToDictionary(unit => unit, _ => new StringBuilder());
        foreach (var type in AbiLayout.Structs)
        {
            var (unit, name) = AbiNames.Structs.GetValueOrDefault(
                type.Name, (Headers.OfStructure(type.Name), $"struct {type.Name}"));
            AssertStructure(asserts[unit], type, name);
        }
        AssertCompiles(asserts);
    }

    [Fact]
    public void Constants_agree_with_the_headers()
    {
        Assert.SkipUnless(CCompiler.Exists, CCompiler.Skip);
        Assert.True(AbiLayout.Constants.Count > 2300, $"only {AbiLayout.Constants.Count} constants found");

        var units = NamesKnown([.. AbiLayout.Constants.Select(constant => HeaderName(constant.Name))]);
        var asserts = Headers.Units.Keys.ToDictionary(unit => unit, _ => new StringBuilder());
        var missing = new List<string>();
        foreach (var (name, value) in AbiLayout.Constants)
        {
            if (AbiNames.NotInHeaders.ContainsKey(name))
                continue;
            var inHeader = HeaderName(name);
            var knowing = units.Where(unit => unit.Value.Contains(inHeader)).Select(unit => unit.Key).ToList();
            if (knowing.Count == 0 && !IsLater(name))
                missing.Add(name);
            if (AbiNames.KernelOnly.ContainsKey(name))
                knowing = [Headers.Kernel];
            foreach (var unit in knowing)
            {
                var literal = Convert.ToString(value, CultureInfo.InvariantCulture)!;
                // Compared as 64 bits in the constant's own signedness, so that -1 and 0xffffffff stay different.
                var (type, suffix) = value is uint or ulong ? ("unsigned long long", "ull") : ("long long", "ll");
                asserts[unit].AppendLine($"_Static_assert(({type})({inHeader}) == {literal}{suffix}, \"{name}\");");
            }
        }
        Assert.True(missing.Count == 0, $"in no header, and in no table of exceptions: {string.Join(", ", missing)}");
        AssertCompiles(asserts);
    }

    [Fact]
    public void Tables_of_exceptions_name_only_what_exists()
    {
        var constants = AbiLayout.Constants.Select(constant => constant.Name).ToHashSet();
        var structs = AbiLayout.Structs.Select(type => type.Name).ToHashSet();
        Assert.Empty(AbiNames.NotInHeaders.Keys.Except(constants));
        Assert.Empty(AbiNames.KernelOnly.Keys.Except(constants));
        Assert.Empty(AbiNames.Structs.Keys.Except(structs));
        Assert.Empty(AbiNames.EndsAt.Keys.Except(structs));
    }

    [Fact]
    public void The_compiler_refuses_a_wrong_assertion()
    {
        Assert.SkipUnless(CCompiler.Exists, CCompiler.Skip);
        var kernel = Headers.Units[Headers.Kernel];
        Assert.Empty(CCompiler.Check(kernel + "_Static_assert(sizeof(struct stat) == 144, \"\");\n"));
        Assert.NotEmpty(CCompiler.Check(kernel + "_Static_assert(sizeof(struct stat) == 143, \"\");\n"));
    }

    private static void AssertStructure(StringBuilder asserts, Type type, string name)
    {
        var size = AbiNames.EndsAt.TryGetValue(type.Name, out var end)
            ? $"offsetof({name}, {end})"
            : $"sizeof({name})";
        asserts.AppendLine($"_Static_assert({size} == {AbiLayout.SizeOf(type)}, \"sizeof {type.Name}\");");
        foreach (var field in type.GetFields(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance))
        {
            // Padding that shrinks as the kernel gives its bytes names, and the insides of opaque types.
            if (field.Name.StartsWith('_') && field.Name != "__val")
                continue;
            asserts.AppendLine(
                $"_Static_assert(offsetof({name}, {field.Name}) == {AbiLayout.OffsetOf(field)}, "
                + $"\"offsetof {type.Name}.{field.Name}\");");
            asserts.AppendLine(
                $"_Static_assert(sizeof((({name} *)0)->{field.Name}) == {AbiLayout.SizeOf(Storage(field))}, "
                + $"\"sizeof {type.Name}.{field.Name}\");");
        }
    }

    private static Type Storage(FieldInfo field) =>
        field.FieldType.IsPointer ? typeof(nint) : field.FieldType;

    // System calls are __NR_ in the kernel's headers; the C library's SYS_ names are made from them.
    private static string HeaderName(string name) =>
        name.StartsWith("SYS_", StringComparison.Ordinal) && char.IsAsciiLetterLower(name["SYS_".Length..].TrimStart('_')[0])
            ? "__NR_" + name["SYS_".Length..]
            : name;

    // The names newer than the oldest supported headers are those of two source files, by design.
    private static bool IsLater(string name) => s_later.Value.Contains(name);

    private static readonly Lazy<HashSet<string>> s_later = new(() =>
        [.. new[] { "src/Host/Libc/Later.Constants.cs", "src/Host/Kvm/KvmAbi.Later.cs" }
            .SelectMany(file => ConstantName().Matches(File.ReadAllText(Path.Combine(Repository.Root, file))))
            .Select(match => match.Groups[1].Value)]);

    // Which of these names each unit knows: macros, and enumerators for what is a macro nowhere.
    private static Dictionary<string, HashSet<string>> NamesKnown(string[] names)
    {
        var known = Headers.Units.ToDictionary(unit => unit.Key, unit => CCompiler.Macros(unit.Value));
        var rest = names.Where(name => !known.Values.Any(macros => macros.Contains(name))).ToList();
        var probe = string.Concat(rest.Select(name => $"enum {{ probe_{name} = {name} }};\n"));
        foreach (var (unit, text) in Headers.Units)
        {
            var undeclared = Undeclared().Matches(CCompiler.Check(text + probe))
                .Select(match => match.Groups[1].Value).ToHashSet();
            known[unit].UnionWith(rest.Where(name => !undeclared.Contains(name)));
        }
        return known;
    }

    private static void AssertCompiles(Dictionary<string, StringBuilder> asserts)
    {
        foreach (var (unit, text) in asserts)
        {
            var diagnostics = CCompiler.Check(Headers.Units[unit] + text);
            Assert.True(diagnostics.Length == 0, $"{unit} headers:\n{diagnostics}");
        }
    }

    [GeneratedRegex(@"'(\w+)' undeclared")]
    private static partial Regex Undeclared();

    [GeneratedRegex(@"const \w+ (\w+) =")]
    private static partial Regex ConstantName();
}
