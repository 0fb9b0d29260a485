using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Sandbox.Policy.Language;

/// <summary>Writes JSON reports, indented, without reflection.</summary>
public static class JsonText
{
    static readonly JsonWriterOptions s_options = new()
        { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>What a body writes, with a newline at the end.</summary>
    public static string Write(Action<Utf8JsonWriter> body)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, s_options))
            body(json);
        stream.WriteByte((byte)'\n');
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    internal static void WriteSpan(this Utf8JsonWriter json, string name, SourceSpan? span)
    {
        if (span is not SourceSpan place)
        {
            json.WriteNull(name);
            return;
        }

        json.WriteStartObject(name);
        json.WriteString("file", place.Text.Name);
        json.WriteNumber("line", place.Line);
        json.WriteNumber("column", place.Column);
        json.WriteEndObject();
    }
}
