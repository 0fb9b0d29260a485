using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using Xunit;

namespace Sandbox.Host.Tests.Abi;

/// <summary>Every import exists in its library and takes arguments of the sizes that its header declares.</summary>
public class ImportTests
{
    // Where an argument is wider than its declaration the callee reads garbage; where it is narrower, half of it.
    private const string Fits = """
        #include <type_traits>
        template <class T> constexpr size_t size_of() { if constexpr (std::is_void_v<T>) return 0; else return sizeof(T); }
        template <size_t... S> constexpr bool prefix(const size_t *has, size_t n)
        {
            const size_t want[] = { S... };
            for (size_t i = 0; i < n; i++)
                if (i >= sizeof...(S) || has[i] != want[i]) return false;
            return true;
        }
        template <size_t R, size_t... S, class T, class... A> constexpr bool fits(T (*)(A...))
        {
            const size_t has[] = { size_of<T>(), sizeof(A)... };
            return sizeof...(A) == sizeof...(S) && prefix<R, S...>(has, sizeof...(A) + 1);
        }
        template <size_t R, size_t... S, class T, class... A> constexpr bool fits(T (*)(A..., ...))
        {
            const size_t has[] = { size_of<T>(), sizeof(A)... };
            return prefix<R, S...>(has, sizeof...(A) + 1);
        }

        """;

    private static readonly IReadOnlyList<(MethodInfo Method, string Symbol, string Library)> s_imports =
        [.. typeof(Libc).Assembly.GetTypes()
            .SelectMany(type => type.GetMethods(
                BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.DeclaredOnly))
            .Where(method => (method.Attributes & MethodAttributes.PinvokeImpl) != 0)
            .Select(method => (method, method.GetCustomAttribute<DllImportAttribute>()!))
            .Select(import => (import.method, import.Item2.EntryPoint ?? import.method.Name, import.Item2.Value))];

    [Fact]
    public void Every_import_is_exported_by_its_library()
    {
        Assert.True(s_imports.Count > 100, $"only {s_imports.Count} imports found");
        Assert.Equal(["libc", "libseccomp.so.2"], s_imports.Select(import => import.Library).Distinct().Order());
        foreach (var imports in s_imports.GroupBy(import => import.Library))
        {
            var library = NativeLibrary.Load(imports.Key, typeof(Libc).Assembly, null);
            var missing = imports.Select(import => import.Symbol).Distinct()
                .Where(symbol => !NativeLibrary.TryGetExport(library, symbol, out _));
            Assert.Empty(missing);
        }
    }

    [Fact]
    public void Every_import_takes_blittable_arguments()
    {
        foreach (var (method, symbol, _) in s_imports)
        {
            Assert.All(method.GetParameters(), parameter =>
                Assert.True(
                    parameter.ParameterType.IsPointer || parameter.ParameterType.IsPrimitive,
                    $"{symbol}: {parameter.Name} is a {parameter.ParameterType}"));
        }
    }

    [Fact]
    public void Every_import_agrees_with_its_declaration()
    {
        Assert.SkipUnless(CCompiler.CxxExists, CCompiler.SkipCxx);
        var source = new StringBuilder(Headers.Units[Headers.Library]).Append(Fits);
        foreach (var (method, symbol, _) in s_imports)
        {
            var sizes = method.GetParameters().Select(parameter => Size(parameter.ParameterType))
                .Prepend(Size(method.ReturnType));
            source.AppendLine($"static_assert(fits<{string.Join(", ", sizes)}>(&::{symbol}), \"{symbol}\");");
        }
        var diagnostics = CCompiler.Check(source.ToString(), cxx: true);
        Assert.True(diagnostics.Length == 0, diagnostics);
    }

    [Fact]
    public void The_comparison_sees_wrong_sizes_and_counts()
    {
        Assert.SkipUnless(CCompiler.CxxExists, CCompiler.SkipCxx);
        var source = Headers.Units[Headers.Library] + Fits
            + """
            static_assert(fits<8, 4, 8, 8>(&::read), "");
            static_assert(!fits<4, 4, 8, 8>(&::read), "");
            static_assert(!fits<8, 4, 8, 4>(&::read), "");
            static_assert(!fits<8, 4, 8>(&::read), "");
            static_assert(!fits<8, 4, 8, 8, 8>(&::read), "");
            static_assert(fits<4, 8, 4, 4>(&::open), "");
            static_assert(!fits<4, 4, 4, 4>(&::open), "");
            """;
        var diagnostics = CCompiler.Check(source, cxx: true);
        Assert.True(diagnostics.Length == 0, diagnostics);
    }

    private static int Size(Type type) =>
        type == typeof(void) ? 0 : type.IsPointer ? nint.Size : AbiLayout.SizeOf(type);
}
