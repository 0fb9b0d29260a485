using System.Reflection;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Tests;

/// <summary>
/// Plans whose every member has a value of its own, by reflection: a member that is added later is in them without
/// being named here. They keep to no rule; they are for the wire form alone.
/// </summary>
sealed class FilledPlan(int round)
{
    int _next = 1000 * round;

    /// <param name="round">In round 0 every flag is set; in others, some are.</param>
    public static LaunchPlan Make(int round)
    {
        var plan = (LaunchPlan)new FilledPlan(round).Value(new NullabilityInfoContext(), typeof(LaunchPlan), "");
        return plan with { Version = LaunchPlan.CurrentVersion };
    }

    /// <summary>What of a record is data: properties that can be set.</summary>
    public static IEnumerable<PropertyInfo> Members(Type record) =>
        record.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(property => property.CanWrite);

    public static bool IsRecord(Type type) =>
        type is { IsClass: true, IsArray: false } && type.Assembly == typeof(LaunchPlan).Assembly;

    object Value(NullabilityInfoContext nulls, Type type, string name)
    {
        _next++;
        if (type.IsArray)
            return Array(nulls, type.GetElementType()!, name);
        if (type.IsEnum)
            return Enum.GetValues(type).GetValue(1 + _next % (Enum.GetValues(type).Length - 1))!;
        if (IsRecord(type))
            return Record(nulls, type);
        if (type == typeof(string))
            return $"{name} {_next} \u00e4\u20ac\ud83d\ude00";
        if (type == typeof(bool))
            return round == 0 || int.PopCount(_next * round) % 2 == 0;
        if (type == typeof(byte) || type == typeof(ushort))
            return Convert.ChangeType(1 + _next % 250, type, null);
        if (type == typeof(int) || type == typeof(uint))
            return Convert.ChangeType(0x1020300 + _next, type, null);
        if (type == typeof(long) || type == typeof(ulong))
            return Convert.ChangeType(0x102030405060000 + _next, type, null);
        throw new NotSupportedException($"{name}: fill in {type}");
    }

    Array Array(NullabilityInfoContext nulls, Type element, string name)
    {
        var array = System.Array.CreateInstance(element, 2 + _next % 3);
        for (int i = 0; i < array.Length; i++)
            array.SetValue(Value(nulls, element, name), i);
        return array;
    }

    object Record(NullabilityInfoContext nulls, Type type)
    {
        object record = Activator.CreateInstance(type)!;
        foreach (PropertyInfo member in Members(type))
        {
            bool absent = round > 0 && nulls.Create(member).ReadState == NullabilityState.Nullable && _next++ % 2 == 0;
            member.SetValue(record, absent ? null : Value(nulls, member.PropertyType, member.Name));
        }
        return record;
    }
}
