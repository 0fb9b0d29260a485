using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;

namespace Sandbox.Host.Tests.Abi;

/// <summary>Layouts as the runtime really has them: measured with the IL instructions that managed code uses.</summary>
internal static class AbiLayout
{
    /// <summary>Every structure of the ABI: public, and not a mere array of another.</summary>
    public static IReadOnlyList<Type> Structs { get; } =
        [.. typeof(Libc).Assembly.GetExportedTypes()
            .Where(type => type is { IsValueType: true, IsEnum: false, IsNested: false })
            .Where(type => type.GetCustomAttribute<InlineArrayAttribute>() is null)
            .OrderBy(type => type.Name, StringComparer.Ordinal)];

    /// <summary>Every constant of the ABI, ioctl numbers that are computed included.</summary>
    public static IReadOnlyList<(string Name, object Value)> Constants { get; } =
        [.. new[] { typeof(Libc), typeof(KvmAbi), typeof(VirtioAbi), typeof(Libseccomp) }
            .SelectMany(type => type.GetFields(BindingFlags.Public | BindingFlags.Static)
                .Where(field => field.IsLiteral)
                .Select(field => (field.Name, field.GetRawConstantValue()!))
                .Concat(type.GetProperties(BindingFlags.Public | BindingFlags.Static)
                    .Where(property => property.PropertyType == typeof(uint))
                    .Select(property => (property.Name, property.GetValue(null)!))))
            .OrderBy(constant => constant.Item1, StringComparer.Ordinal)];

    public static int SizeOf(Type type)
    {
        var method = new DynamicMethod("", typeof(int), null, typeof(AbiLayout).Module, skipVisibility: true);
        var il = method.GetILGenerator();
        il.Emit(OpCodes.Sizeof, type);
        il.Emit(OpCodes.Ret);
        return (int)method.Invoke(null, null)!;
    }

    public static int OffsetOf(FieldInfo field)
    {
        var method = new DynamicMethod("", typeof(int), null, typeof(AbiLayout).Module, skipVisibility: true);
        var il = method.GetILGenerator();
        il.DeclareLocal(field.DeclaringType!);
        il.Emit(OpCodes.Ldloca_S, (byte)0);
        il.Emit(OpCodes.Ldflda, field);
        il.Emit(OpCodes.Conv_U);
        il.Emit(OpCodes.Ldloca_S, (byte)0);
        il.Emit(OpCodes.Conv_U);
        il.Emit(OpCodes.Sub);
        il.Emit(OpCodes.Conv_I4);
        il.Emit(OpCodes.Ret);
        return (int)method.Invoke(null, null)!;
    }
}
