using System.Text;

namespace Sandbox.Policy.Language;

/// <summary>The reference page, docs/policy-reference.md: every key of the language, from its schema.</summary>
public static class ReferenceReport
{
    public static string Write()
    {
        var text = new StringBuilder("""
            # Policy reference

            Every key of the policy language, version 1. [policy.md](policy.md) is the guide. This page is written by
            `sandbox policy schema --reference > docs/policy-reference.md`; change `PolicySchema`, not this page.

            - **size**: a whole number, with `K`, `M`, `G` or `T` (powers of 1024). **time**: one with `ms`, `s`, `m`, `h` or `d`.
            - **one or more** of something: a single value, or a list of them.
            - A value marked † may be written as `{value: ..., because: ...}`, to say why.


            """);
        WriteObject(text, "A policy", "", PolicySchema.Root);
        return text.ToString().TrimEnd('\n') + "\n";
    }

    /// <summary>A table of the keys; then, deeper, those that hold keys themselves.</summary>
    static void WriteObject(StringBuilder text, string title, string path, ObjectSchema shape)
    {
        text.Append($"## {title}\n\n{shape.Description}\n\n");
        text.Append("| Key | Type | Default | Meaning | Example |\n|---|---|---|---|---|\n");
        foreach (Field field in shape.Fields)
        {
            string fallback = field.Required ? "**required**" : field.Default ?? "";
            string example = ExampleOf(field.Schema) is string written ? $"`{field.Name}: {written}`" : "";
            text.Append($"| `{field.Name}` | {Cell(TypeOf(field.Schema))} | {Cell(fallback)} "
                + $"| {Cell(MeaningOf(field.Schema))} | {example} |\n");
        }

        text.Append('\n');
        foreach (Field field in shape.Fields)
            if (Inner(field.Schema) is ObjectSchema inner)
                WriteObject(text, $"`{path}{field.Name}`", $"{path}{field.Name}.", inner);
    }

    static ObjectSchema? Inner(Schema schema) => schema switch
    {
        ObjectSchema shape => shape,
        ListSchema list => Inner(list.Item),
        OneOrMoreSchema several => Inner(several.Item),
        _ => null,
    };

    static string TypeOf(Schema schema) => schema switch
    {
        ObjectSchema => "map, below",
        DictionarySchema => "map of names to values",
        ListSchema list => Inner(list) is null ? $"list of {TypeOf(list.Item)}" : "list of maps, below",
        OneOrMoreSchema several =>
            Inner(several) is null ? $"one or more: {TypeOf(several.Item)}" : "one or more maps, below",
        ReasonedSchema reasoned => TypeOf(reasoned.Value) + " †",
        ChoiceSchema choice => string.Join(" or ", choice.Choices.Select(word => $"`{word}`")),
        NumberSchema number => $"whole number, {number.Minimum} to {number.Maximum}",
        FlagSchema => "`true` or `false`",
        TextSchema text => text.Form ?? "text",
        _ => throw new ArgumentOutOfRangeException(nameof(schema)),
    };

    /// <summary>With what the items say beyond the list that they are in.</summary>
    static string MeaningOf(Schema schema) => schema switch
    {
        OneOrMoreSchema { Item: ChoiceSchema or TextSchema { Description.Length: > 20 } } several =>
            $"{several.Description} {several.Item.Description}",
        _ => schema.Description,
    };

    static string? ExampleOf(Schema schema) => schema switch
    {
        TextSchema text => text.Example is string example && NeedsQuotes(example) ? $"\"{example}\"" : text.Example,
        ChoiceSchema choice => NeedsQuotes(choice.Choices[^1]) ? $"\"{choice.Choices[^1]}\"" : choice.Choices[^1],
        NumberSchema number => $"{number.Minimum}",
        FlagSchema => "true",
        OneOrMoreSchema several => ExampleOf(several.Item),
        ListSchema list => ExampleOf(list.Item) is string item ? $"[{item}]" : null,
        ReasonedSchema reasoned => ExampleOf(reasoned.Value),
        DictionarySchema dictionary => ExampleOf(dictionary.Value) is string value ? $"{{NAME: {value}}}" : null,
        _ => null,
    };

    static bool NeedsQuotes(string word) => !char.IsAsciiLetterOrDigit(word[0]) && word[0] != '/';

    static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal)
        .Replace("*", "\\*", StringComparison.Ordinal)
        .Replace("\\*\\*required\\*\\*", "**required**", StringComparison.Ordinal);
}
