using System.Globalization;

namespace Sandbox.Policy.Language;

/// <summary>Compares a file's shape with the language's.</summary>
static class SchemaCheck
{
    public static void Check(YamlNode node, Schema schema, string what, Diagnostics diagnostics)
    {
        switch (schema)
        {
            case ObjectSchema shape when node is YamlMap map:
                CheckObject(map, shape, what, diagnostics);
                break;
            case DictionarySchema dictionary when node is YamlMap map:
                foreach ((YamlScalar key, YamlNode value) in map.Entries)
                    Check(value, dictionary.Value, key.Value, diagnostics);
                break;
            case ListSchema list when node is YamlList items:
                foreach (YamlNode item in items.Items)
                    Check(item, list.Item, $"an entry of {what}", diagnostics);
                break;
            case OneOrMoreSchema several when node is YamlList items:
                if (items.Items.Count == 0)
                    diagnostics.Add(DiagnosticKind.WrongType, items.Span, $"{what} is an empty list",
                        "leave it out or name something");
                foreach (YamlNode item in items.Items)
                    Check(item, several.Item, $"an entry of {what}", diagnostics);
                break;
            case OneOrMoreSchema several:
                Check(node, several.Item, what, diagnostics);
                break;
            case ReasonedSchema reasoned when node is YamlMap map:
                CheckObject(map, WithReason(reasoned.Value), what, diagnostics);
                break;
            case ReasonedSchema reasoned:
                Check(node, reasoned.Value, what, diagnostics);
                break;
            default:
                CheckScalar(node, schema, what, diagnostics);
                break;
        }
    }

    /// <summary>The long form of a value: <c>{value: 2G, because: ...}</c>.</summary>
    public static ObjectSchema WithReason(Schema value) => new(
        value.Description, new("value", value, Required: true), new("because", new TextSchema("Why.")));

    static void CheckObject(YamlMap map, ObjectSchema shape, string what, Diagnostics diagnostics)
    {
        foreach ((YamlScalar key, YamlNode value) in map.Entries)
        {
            if (shape[key.Value] is Field field)
                Check(value, field.Schema, key.Value, diagnostics);
            else
                diagnostics.Add(
                    DiagnosticKind.UnknownKey, key.Span, $"{what} has no key {Quote.Value(key.Value)}",
                    Closest.Advice(key.Value, shape.Fields.Select(known => known.Name))
                        ?? $"it has {string.Join(", ", shape.Fields.Select(known => known.Name))}");
        }

        foreach (Field field in shape.Fields)
            if (field.Required && map[field.Name] is null)
                diagnostics.Add(
                    DiagnosticKind.MissingKey, map.Span, $"{what} lacks {field.Name}", field.Schema.Description);
    }

    static void CheckScalar(YamlNode node, Schema schema, string what, Diagnostics diagnostics)
    {
        if (node is not YamlScalar scalar || schema is ObjectSchema or DictionarySchema or ListSchema)
        {
            diagnostics.Add(
                DiagnosticKind.WrongType, node.Span, $"{what} is {KindOf(node)} instead of {KindOf(schema)}");
            return;
        }

        if (scalar.IsNull)
        {
            diagnostics.Add(DiagnosticKind.WrongType, scalar.Span, $"{what} has no value",
                $"write {KindOf(schema)}, or leave the key out");
            return;
        }

        switch (schema)
        {
            case FlagSchema when !(scalar.Plain && scalar.Value is "true" or "false"):
                diagnostics.Add(DiagnosticKind.WrongType, scalar.Span,
                    $"{what} is {Quote.Value(scalar.Value)} instead of true or false");
                break;
            case ChoiceSchema choice when !choice.Choices.Contains(scalar.Value):
                diagnostics.Add(
                    DiagnosticKind.BadValue, scalar.Span, $"{what} cannot be {Quote.Value(scalar.Value)}",
                    Closest.Advice(scalar.Value, choice.Choices)
                        ?? $"it is one of {string.Join(", ", choice.Choices)}");
                break;
            case NumberSchema number when !long.TryParse(
                    scalar.Value, NumberStyles.None, CultureInfo.InvariantCulture, out long parsed)
                || NumberText.HasLeadingZero(scalar.Value)
                || parsed < number.Minimum
                || parsed > number.Maximum:
                diagnostics.Add(
                    DiagnosticKind.BadValue, scalar.Span,
                    $"{what} is {Quote.Value(scalar.Value)} instead of a whole number from {number.Minimum} to "
                        + $"{number.Maximum}");
                break;
        }
    }

    static string KindOf(YamlNode node) => node switch
    {
        YamlMap => "a map",
        YamlList => "a list",
        YamlScalar { IsNull: true } => "empty",
        _ => "a single value",
    };

    static string KindOf(Schema schema) => schema switch
    {
        ObjectSchema or DictionarySchema => "a map",
        ListSchema => "a list",
        FlagSchema => "true or false",
        NumberSchema => "a number",
        _ => "a single value",
    };
}
