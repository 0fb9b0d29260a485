namespace Sandbox.Policy.Language;

/// <summary>
/// The language's shape: which keys there are and what stands behind them. The reader checks files against it, and
/// the JSON Schema and the reference page are written from it.
/// </summary>
abstract record Schema(string Description);

/// <summary>A map of known keys.</summary>
sealed record ObjectSchema(string Description, params IReadOnlyList<Field> Fields) : Schema(Description)
{
    public Field? this[string name]
    {
        get
        {
            foreach (Field field in Fields)
                if (field.Name == name)
                    return field;
            return null;
        }
    }
}

/// <param name="Default">What holds where the key is left out, in words; null where nothing does.</param>
sealed record Field(string Name, Schema Schema, bool Required = false, string? Default = null);

/// <summary>A map of free names.</summary>
sealed record DictionarySchema(string Description, Schema Value) : Schema(Description);

sealed record ListSchema(string Description, Schema Item) : Schema(Description);

/// <summary>One item, or a list of them.</summary>
sealed record OneOrMoreSchema(string Description, Schema Item) : Schema(Description);

/// <summary>A value, or a map that holds it with the reason for it.</summary>
sealed record ReasonedSchema(Schema Value) : Schema(Value.Description);

/// <summary>Text whose form the binder checks.</summary>
/// <param name="Pattern">What JSON Schema can say about it.</param>
/// <param name="Form">What people call such text, with its range; null for any text.</param>
sealed record TextSchema(string Description, string? Pattern = null, string? Example = null, string? Form = null)
    : Schema(Description);

/// <summary>A whole number.</summary>
sealed record NumberSchema(string Description, long Minimum, long Maximum) : Schema(Description);

sealed record FlagSchema(string Description) : Schema(Description);

sealed record ChoiceSchema(string Description, params IReadOnlyList<string> Choices) : Schema(Description);
