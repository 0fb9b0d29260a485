using System.Globalization;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

// The syscalls section.
sealed partial class Binder
{
    SystemCallRule? ReadSystemCallRule(YamlMap map)
    {
        if (OneOf(map, "allow", "deny") is not { } given)
            return null;
        bool allow = given.Key.Value == "allow";
        Span<bool> calls = stackalloc bool[SystemCallNames.Limit];
        calls.Clear();
        var names = new List<string>();
        foreach (YamlScalar word in Scalars(given.Value))
        {
            if (SystemCallNames.TryFind(word.Value, calls))
                names.Add(word.Value);
            else
                Add(DiagnosticKind.BadValue, word.Span, $"there is no system call {Quote.Value(word.Value)}",
                    Closest.Advice(word.Value, SystemCallNames.Known));
        }

        var conditions = new List<ArgumentCondition>();
        YamlNode? when = map["when"];
        foreach (YamlNode node in when is YamlList list ? list.Items : when is null ? [] : [when])
            if (ReadCondition((YamlMap)node) is ArgumentCondition condition)
                conditions.Add(condition);
        int answer = ErrnoNames.Default;
        if (map["answer"] is YamlScalar text)
        {
            if (allow)
                Add(DiagnosticKind.Conflict, text.Span, "an allowed call has its own answer", "leave answer out");
            else if (text.Value == "kill")
                answer = SystemCallRule.Kill;
            else if (!ErrnoNames.TryFind(text.Value, out answer))
                Add(DiagnosticKind.BadValue, text.Span,
                    $"answer: {Quote.Value(text.Value)} is neither an errno nor kill",
                    Closest.Advice(text.Value, ErrnoNames.Known)
                        ?? $"it is one of {string.Join(", ", ErrnoNames.Known)}, kill");
        }

        if (names.Count == 0)
            return null;
        var numbers = new List<int>();
        for (int number = 0; number < calls.Length; number++)
            if (calls[number])
                numbers.Add(number);
        return new SystemCallRule(map.Span, Text(map["because"]), allow, numbers, names, conditions, answer);
    }

    ArgumentCondition? ReadCondition(YamlMap map)
    {
        ulong width = Text(map["as"]) == "int" ? uint.MaxValue : ulong.MaxValue;
        ulong mask = width;
        if (map["mask"] is YamlScalar bits && !TryNumber(bits, width, out mask))
            return null;
        var text = (YamlScalar)map["value"]!;
        if (!TryNumber(text, width, out ulong value))
            return null;
        var comparison = (Comparison)Array.IndexOf(Comparisons.Names, Text(map["is"]));
        if (comparison is Comparison.Equal or Comparison.NotEqual && (value & ~mask) != 0)
        {
            Add(DiagnosticKind.Impossible, text.Span,
                "the value has bits that the mask takes away, so that it never compares equal");
            return null;
        }

        return new ArgumentCondition(
            int.Parse(Text(map["argument"])!, CultureInfo.InvariantCulture), mask, comparison, value);
    }

    bool TryNumber(YamlScalar text, ulong most, out ulong number)
    {
        if (NumberText.TryParse(text.Value, out number, out string? advice) && number <= most)
            return true;
        Add(DiagnosticKind.BadValue, text.Span, $"{Quote.Value(text.Value)} is not a number from 0 to 0x{most:x}",
            advice);
        return false;
    }
}
