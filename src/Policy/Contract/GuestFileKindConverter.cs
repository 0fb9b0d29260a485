using System.Text.Json;
using System.Text.Json.Serialization;

namespace Sandbox.Policy.Contract;

/// <summary>
/// Reads a kind by its exact name. The library's own converter also takes numbers, other capitals and
/// comma-separated lists.
/// </summary>
public sealed class GuestFileKindConverter : JsonConverter<GuestFileKind>
{
    public override GuestFileKind Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String)
            for (GuestFileKind kind = 0; kind <= GuestFileKind.Directory; kind++)
                if (reader.ValueTextEquals(Name(kind)))
                    return kind;
        throw new JsonException("unknown kind of guest file");
    }

    public override void Write(Utf8JsonWriter writer, GuestFileKind value, JsonSerializerOptions options) =>
        writer.WriteStringValue(Name(value));

    static string Name(GuestFileKind kind) => kind switch
    {
        GuestFileKind.Host => nameof(GuestFileKind.Host),
        GuestFileKind.Text => nameof(GuestFileKind.Text),
        GuestFileKind.Symlink => nameof(GuestFileKind.Symlink),
        GuestFileKind.Temporary => nameof(GuestFileKind.Temporary),
        GuestFileKind.Directory => nameof(GuestFileKind.Directory),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
    };
}
