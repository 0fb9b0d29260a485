using System.Buffers;
using System.Text.Json;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail.Cgroups;

namespace Sandbox.Supervisor.Jail.Facts;

/// <summary>
/// An expectation as its file has it, for whoever compares later: one line of JSON, written at the start, and a line
/// with what the VMM says that it has put on, added once it has. Any process of the user may have written what is read.
/// </summary>
static class ExpectationText
{
    /// <summary>Bytes of a file; a plan's descriptors and a group's files never come near.</summary>
    public const int MaximumBytes = 256 << 10;

    const int Version = 2;

    /// <summary>Characters of a path.</summary>
    const int MaximumText = 8192;

    public static byte[] Write(JailExpectation expected)
    {
        ArrayBufferWriter<byte> buffer = new(4096);
        using (Utf8JsonWriter json = new(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("version", Version);
            json.WriteNumber("supervisor", expected.Supervisor);
            json.WriteNumber("wanted", (int)expected.Wanted);
            json.WriteString("told", expected.Told);
            json.WriteStartArray("namespaces");
            foreach (string link in expected.HostNamespaces)
                json.WriteStringValue(link);
            json.WriteEndArray();
            json.WriteNumber("user", expected.User);
            json.WriteNumber("group", expected.Group);
            json.WriteNumber("oomScore", expected.OomScore);
            json.WriteBoolean("network", expected.HasNetwork);
            json.WriteBoolean("keyring", expected.HasKeyring);
            json.WriteBoolean("denyWriteExecute", expected.HasDenyWriteExecute);
            WriteGroups(json, expected.Groups);
            json.WriteStartArray("descriptors");
            foreach (ExpectedDescriptor descriptor in expected.Descriptors)
            {
                json.WriteStartArray();
                json.WriteStringValue(descriptor.Name);
                json.WriteNumberValue(descriptor.Mount);
                json.WriteNumberValue(descriptor.Inode);
                json.WriteStringValue(descriptor.Path);
                json.WriteBooleanValue(descriptor.IsFolder);
                json.WriteBooleanValue(descriptor.Writable);
                json.WriteEndArray();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return [.. buffer.WrittenSpan, (byte)'\n'];
    }

    static void WriteGroups(Utf8JsonWriter json, ExpectedGroup[] groups)
    {
        json.WriteStartArray("groups");
        foreach (ExpectedGroup group in groups)
        {
            json.WriteStartArray();
            json.WriteStringValue(group.Folder);
            foreach (GroupValue value in group.Values)
            {
                json.WriteStringValue(value.File);
                json.WriteStringValue(value.Text);
                json.WriteNumberValue((int)value.Rule);
            }

            json.WriteEndArray();
        }

        json.WriteEndArray();
    }

    /// <summary>The second line.</summary>
    public static byte[] Write(StartOrders reported) => [(byte)('0' + (int)(reported & StartOrders.All)), (byte)'\n'];

    /// <summary>Null for all but what <see cref="Write(JailExpectation)"/> writes, byte for byte.</summary>
    public static JailExpectation? Parse(ReadOnlySpan<byte> bytes)
    {
        int end = bytes.Length > MaximumBytes ? -1 : bytes.IndexOf((byte)'\n');
        if (end < 0)
            return null;
        JailExpectation? expected;
        try
        {
            var reader = new Utf8JsonReader(bytes[..end], new JsonReaderOptions { MaxDepth = 4 });
            using JsonDocument document = JsonDocument.ParseValue(ref reader);
            expected = Read(document.RootElement);
        }
        // FormatException: a number out of its range. The others: another kind of value, or half of a surrogate pair.
        catch (Exception bad) when (bad is JsonException or FormatException or InvalidOperationException
            or KeyNotFoundException)
        {
            return null;
        }

        if (expected is null || !Write(expected).AsSpan().SequenceEqual(bytes[..(end + 1)]))
            return null;
        ReadOnlySpan<byte> more = bytes[(end + 1)..];
        if (more.IsEmpty)
            return expected;
        StartOrders reported = (StartOrders)(more[0] - '0') & StartOrders.All;
        return more.SequenceEqual(Write(reported)) ? expected with { Reported = reported } : null;
    }

    static JailExpectation? Read(JsonElement root)
    {
        string[] namespaces = [.. root.GetProperty("namespaces").EnumerateArray().Select(link => Text(link, 64))];
        JailWalls wanted = (JailWalls)root.GetProperty("wanted").GetInt32();
        if (root.GetProperty("version").GetInt32() != Version || namespaces.Length != Namespaces.Names.Length
            || (wanted & ~JailWalls.All) != 0
            || !namespaces.All(link => link.Length == 0 || Namespaces.IsIdentity(link)))
            return null;
        return new JailExpectation
        {
            Supervisor = root.GetProperty("supervisor").GetInt32(),
            Wanted = wanted,
            Told = OptionalText(root.GetProperty("told")),
            HostNamespaces = namespaces,
            User = root.GetProperty("user").GetUInt32(),
            Group = root.GetProperty("group").GetUInt32(),
            OomScore = root.GetProperty("oomScore").GetInt32(),
            Groups = [.. root.GetProperty("groups").EnumerateArray().Select(ReadGroup)],
            Descriptors = [.. root.GetProperty("descriptors").EnumerateArray().Select(ReadDescriptor)],
            HasNetwork = root.GetProperty("network").GetBoolean(),
            HasKeyring = root.GetProperty("keyring").GetBoolean(),
            HasDenyWriteExecute = root.GetProperty("denyWriteExecute").GetBoolean(),
            Filters = 2,
        };
    }

    static ExpectedGroup ReadGroup(JsonElement group)
    {
        JsonElement[] parts = [.. group.EnumerateArray()];
        string folder = Text(parts.Length % 3 == 1 ? parts[0] : throw new FormatException(), MaximumText);
        // What is read here is what people are shown.
        if (!folder.StartsWith('/') || folder.Split('/').Contains("..") || folder.Contains('\0'))
            throw new FormatException();
        List<GroupValue> values = [];
        for (int i = 1; i < parts.Length; i += 3)
        {
            string file = Text(parts[i], 64);
            ValueRule rule = (ValueRule)parts[i + 2].GetInt32();
            if (!file.All(static c => char.IsAsciiLetterLower(c) || c is '.' or '_') || file.StartsWith('.')
                || !Enum.IsDefined(rule))
                throw new FormatException();
            values.Add(new GroupValue(file, Text(parts[i + 1], 64), rule));
        }

        return new ExpectedGroup(folder, [.. values]);
    }

    static ExpectedDescriptor ReadDescriptor(JsonElement descriptor)
    {
        JsonElement[] parts = [.. descriptor.EnumerateArray()];
        return parts.Length == 6
            ? new ExpectedDescriptor(Text(parts[0], MaximumText), parts[1].GetInt64(), parts[2].GetUInt64(),
                OptionalText(parts[3]), parts[4].GetBoolean(), parts[5].GetBoolean())
            : throw new FormatException();
    }

    static string? OptionalText(JsonElement element) =>
        element.ValueKind == JsonValueKind.Null ? null : Text(element, MaximumText);

    static string Text(JsonElement element, int most) =>
        element.GetString() is string text && text.Length <= most ? text : throw new FormatException();
}
