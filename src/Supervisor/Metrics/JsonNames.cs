using System.Text.Json;

namespace Sandbox.Supervisor.Metrics;

/// <summary>Names of properties.</summary>
static class JsonNames
{
    /// <summary>ReadBytes becomes readBytes.</summary>
    public static string Of(string name) => JsonNamingPolicy.CamelCase.ConvertName(name);

    /// <summary>read_bytes becomes readBytes.</summary>
    public static string OfWords(string name) =>
        Of(string.Concat(name.Split('_').Select(word => char.ToUpperInvariant(word[0]) + word[1..])));
}
