namespace Sandbox.Policy.Language;

/// <summary>A YAML value and where it stands.</summary>
abstract record YamlNode(SourceSpan Span);

/// <param name="Plain">Written without quotes: a plain <c>null</c>, <c>true</c> or number is not text.</param>
sealed record YamlScalar(SourceSpan Span, string Value, bool Plain) : YamlNode(Span)
{
    /// <summary>Nothing was written, or null.</summary>
    public bool IsNull => Plain && Value is "" or "~" or "null";
}

sealed record YamlList(SourceSpan Span, IReadOnlyList<YamlNode> Items) : YamlNode(Span);

sealed record YamlMap(SourceSpan Span, IReadOnlyList<KeyValuePair<YamlScalar, YamlNode>> Entries) : YamlNode(Span)
{
    /// <summary>The value of a key, or null. Keys are unique: the reader has seen to that.</summary>
    public YamlNode? this[string key]
    {
        get
        {
            foreach ((YamlScalar name, YamlNode value) in Entries)
                if (name.Value == key)
                    return value;
            return null;
        }
    }
}
