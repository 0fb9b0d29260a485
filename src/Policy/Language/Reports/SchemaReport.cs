using System.Text.Json;

namespace Sandbox.Policy.Language;

/// <summary>The language as JSON Schema (draft 2020-12), so that editors complete and check policies.</summary>
public static class SchemaReport
{
    public static string Write() => JsonText.Write(json =>
    {
        json.WriteStartObject();
        json.WriteString("$schema", "https://json-schema.org/draft/2020-12/schema");
        json.WriteString("title", "sandbox policy, version 1");
        WriteBody(json, PolicySchema.Root);
        json.WriteEndObject();
    });

    static void WriteMember(Utf8JsonWriter json, string name, Schema schema)
    {
        json.WriteStartObject(name);
        WriteBody(json, schema);
        json.WriteEndObject();
    }

    static void WriteBody(Utf8JsonWriter json, Schema schema)
    {
        json.WriteString("description", schema.Description);
        switch (schema)
        {
            case ObjectSchema shape:
                json.WriteString("type", "object");
                json.WriteBoolean("additionalProperties", false);
                json.WriteStartObject("properties");
                foreach (Field field in shape.Fields)
                    WriteMember(json, field.Name, field.Schema);
                json.WriteEndObject();
                if (shape.Fields.Any(field => field.Required))
                {
                    json.WriteStartArray("required");
                    foreach (Field field in shape.Fields.Where(field => field.Required))
                        json.WriteStringValue(field.Name);
                    json.WriteEndArray();
                }

                break;
            case DictionarySchema dictionary:
                json.WriteString("type", "object");
                WriteMember(json, "additionalProperties", dictionary.Value);
                break;
            case ListSchema list:
                json.WriteString("type", "array");
                WriteMember(json, "items", list.Item);
                break;
            case OneOrMoreSchema several:
                WriteEither(json, several.Item, new ListSchema(several.Description, several.Item));
                break;
            case ReasonedSchema reasoned:
                WriteEither(json, reasoned.Value, SchemaCheck.WithReason(reasoned.Value));
                break;
            case ChoiceSchema choice:
                json.WriteStartArray("enum");
                foreach (string word in choice.Choices)
                {
                    json.WriteStringValue(word);
                    // Editors read an unquoted 1 as a number; the language reads both as the same text.
                    if (long.TryParse(word, out long number))
                        json.WriteNumberValue(number);
                }

                json.WriteEndArray();
                break;
            case NumberSchema number:
                json.WriteString("type", "integer");
                json.WriteNumber("minimum", number.Minimum);
                json.WriteNumber("maximum", number.Maximum);
                break;
            case FlagSchema:
                json.WriteString("type", "boolean");
                break;
            case TextSchema text:
                WriteText(json, text);
                break;
        }
    }

    static void WriteText(Utf8JsonWriter json, TextSchema text)
    {
        json.WriteStartArray("type");
        json.WriteStringValue("string");
        json.WriteStringValue("integer");
        json.WriteEndArray();
        if (text.Pattern is not null)
            json.WriteString("pattern", text.Pattern);
        if (text.Example is not null)
        {
            json.WriteStartArray("examples");
            json.WriteStringValue(text.Example);
            json.WriteEndArray();
        }
    }

    static void WriteEither(Utf8JsonWriter json, Schema one, Schema other)
    {
        json.WriteStartArray("anyOf");
        foreach (Schema schema in (Schema[])[one, other])
        {
            json.WriteStartObject();
            WriteBody(json, schema);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
