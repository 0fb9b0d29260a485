using System.Globalization;
using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Planning;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// A record as its file has it: lines of a word and values, in one order, and one form only. Written at every start, so
/// by plain code: a serialiser's metadata would cost more than all the rest. Any process of the user may have written
/// what is read.
/// </summary>
static class RecordText
{
    /// <summary>Bytes of a file; what is written never comes near.</summary>
    public const int MaximumBytes = 256 << 10;

    /// <summary>Characters of a name or a reason that is kept.</summary>
    public const int MaximumText = 1000;

    const string Title = "sandbox state 1";
    const string Last = "end of record";
    const int MaximumArguments = 64;
    const int MaximumCommand = 4096;
    const int MaximumGroups = 16;

    /// <summary>PATH_MAX: a longer one leads nowhere.</summary>
    const int MaximumFolder = 4096;

    /// <summary>As much of a command as a record holds.</summary>
    public static string[] Cut(string[] command, out bool isCut)
    {
        List<string> kept = [];
        int room = MaximumCommand;
        foreach (string argument in command)
        {
            if (kept.Count == MaximumArguments || room == 0)
                break;
            kept.Add(Cut(argument, room));
            room -= kept[^1].Length;
        }

        isCut = kept.Count < command.Length || kept.Sum(text => text.Length) < command.Sum(text => text.Length);
        return [.. kept];
    }

    /// <summary>As much of a text as a record holds.</summary>
    public static string Cut(string text, int most = MaximumText)
    {
        if (text.Length <= most)
            return text;
        // No half of a pair.
        return text[..(char.IsHighSurrogate(text[most - 1]) ? most - 1 : most)];
    }

    /// <summary>One word for what a granted descriptor is.</summary>
    public const string BootFile = "boot-file";

    public static string KindOf(Grant grant) => grant switch
    {
        Grant.SystemPath { IsDirectory: true } => "system-folder",
        Grant.SystemPath => "system-file",
        Grant.Mount => "mount",
        Grant.StandardStream => "stream",
        Grant.Result => "result",
        Grant.Broker => "network",
        Grant.Trace => "trace",
        Grant.Decisions => "decisions",
        Grant.BootFile => BootFile,
        Grant.AgentInitrd => "initrd",
        Grant.VsockListener => "vsock",
        Grant.Tap => "tap",
        _ => throw new ArgumentOutOfRangeException(nameof(grant)),
    };

    static readonly string[] s_kinds =
    [
        "system-folder", "system-file", "mount", "stream", "result", "network", "trace", "decisions", BootFile,
        "initrd",
        "vsock", "tap",
    ];

    public static byte[] Write(SandboxRecord record)
    {
        var text = new Lines();
        text.Add(Title);
        text.Add("id", record.Id.ToString());
        text.AddText("name", record.Name);
        text.Add("started", record.StartedAt);
        foreach (string argument in record.Command)
            text.AddText("argument", argument);
        text.AddIf("command-cut", record.IsCommandCut);
        text.AddText("policy", record.Policy);
        text.Add("supervisor", record.Supervisor);
        text.Add("vmm", record.Vmm);
        text.Add("vmm-user", record.VmmUser);
        text.Add("walls", (long)record.Jail.Walls);
        text.Add("missing", (long)record.Jail.Missing);
        text.AddText("reason", record.Jail.Reason);
        foreach (Wall wall in record.Required)
            text.Add("required", Walls.Names[(int)wall]);
        foreach (RecordedGroup group in record.Groups)
            text.AddText($"group {(group.IsVersionTwo ? 2 : 1)} {(int)group.Controllers}", group.Folder);
        GroupLimits limits = record.GroupLimits;
        text.Add("group-limits", (long)limits.MemoryBytes, limits.Cpus, limits.Weight, limits.Processes);
        GuestLimits guest = record.Limits;
        text.Add("limits", (long)guest.MemoryBytes, guest.Cpus, guest.WallMilliseconds, guest.CpuMilliseconds,
            guest.Processes, guest.OutputBytes, (long)guest.TmpBytes, guest.OpenFiles);
        foreach (string kind in record.Descriptors)
            text.Add("descriptor", kind);
        if (record.Socket is RecordedSocket socket)
            text.AddText(string.Create(CultureInfo.InvariantCulture, $"socket {socket.Inode}"), socket.Path);
        text.AddIf("kept", record.IsKept);
        text.AddIf("detached", record.IsDetached);
        text.AddIf("paused", record.IsPaused);
        if (record.End is RecordedEnd end)
        {
            text.Add("ended", end.At, end.Status, end.CpuMicroseconds);
            if (end.MemoryPeakBytes is ulong peak)
                text.Add("peak", (long)peak);
            text.AddText("because", end.Line);
        }

        text.Add(Last);
        return text.Bytes;
    }

    /// <summary>Null for all but what <see cref="Write"/> writes, byte for byte.</summary>
    public static SandboxRecord? Parse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > MaximumBytes || !System.Text.Unicode.Utf8.IsValid(bytes))
            return null;
        try
        {
            SandboxRecord record = Read(new Fields(Encoding.UTF8.GetString(bytes)));
            return Write(record).AsSpan().SequenceEqual(bytes) ? record : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }

    static SandboxRecord Read(Fields fields)
    {
        fields.Expect(Title);
        return new SandboxRecord
        {
            Id = SandboxId.Parse(fields.Take("id")) ?? throw new FormatException("no ID"),
            Name = fields.TakeText("name") is string name ? SandboxName.Check(name) : null,
            StartedAt = fields.TakeNumbers("started", 1)[0],
            Command = fields.TakeTexts("argument", MaximumArguments, MaximumCommand),
            IsCommandCut = fields.TakeIf("command-cut"),
            Policy = fields.TakeText("policy") ?? throw new FormatException("no policy"),
            Supervisor = Fields.Small(fields.TakeNumbers("supervisor", 1)[0]),
            Vmm = Fields.Small(fields.TakeNumbers("vmm", 1)[0]),
            VmmUser = (uint)Fields.Between(fields.TakeNumbers("vmm-user", 1)[0], uint.MaxValue),
            Jail = new BuiltJail(TakeWalls(fields, "walls"), TakeWalls(fields, "missing"), fields.TakeText("reason")),
            Required = TakeRequired(fields),
            Groups = TakeGroups(fields),
            GroupLimits = TakeGroupLimits(fields.TakeNumbers("group-limits", 4)),
            Limits = TakeLimits(fields.TakeNumbers("limits", 8)),
            Descriptors = TakeDescriptors(fields),
            Socket = TakeSocket(fields),
            IsKept = fields.TakeIf("kept"),
            IsDetached = fields.TakeIf("detached"),
            IsPaused = fields.TakeIf("paused"),
            End = TakeEnd(fields),
        };
    }

    static JailWalls TakeWalls(Fields fields, string key)
    {
        JailWalls walls = (JailWalls)Fields.Small(fields.TakeNumbers(key, 1)[0]);
        return (walls & ~JailWalls.All) == 0 ? walls : throw new FormatException("no such wall");
    }

    static Wall[] TakeRequired(Fields fields)
    {
        List<Wall> required = [];
        while (fields.TryTake("required") is string name)
        {
            int wall = Array.IndexOf(Walls.Names, name);
            if (wall < 0 || required.Contains((Wall)wall))
                throw new FormatException("no such wall");
            required.Add((Wall)wall);
        }

        return [.. required];
    }

    static RecordedGroup[] TakeGroups(Fields fields)
    {
        List<RecordedGroup> groups = [];
        while (fields.TryTake("group") is string group)
        {
            string[] parts = group.Split(' ', 3);
            const Controllers all = Controllers.Limits | Controllers.Freezer | Controllers.Io;
            if (parts.Length < 3 || parts[0] is not ("1" or "2") || Fields.Number(parts[1]) is < 1 or > (long)all
                || groups.Count == MaximumGroups)
                throw new FormatException("no group");
            string folder = Fields.UnescapeAtMost(MaximumFolder, parts[2]);
            // Nothing above what the kernel mounts there is anybody's to ask or to remove.
            if (!folder.StartsWith('/') || folder.Contains('\0') || folder.Split('/').Any(part => part is "." or "..")
                || GroupName.Parse(folder[(folder.LastIndexOf('/') + 1)..]) is null)
                throw new FormatException("no group's folder");
            groups.Add(new RecordedGroup(parts[0] == "2", (Controllers)Fields.Number(parts[1]), folder));
        }

        return [.. groups];
    }

    static GroupLimits TakeGroupLimits(long[] values) =>
        new((ulong)values[0], Fields.Small(values[1]), Fields.Small(values[2]), Fields.Small(values[3]));

    static GuestLimits TakeLimits(long[] values) => new()
    {
        MemoryBytes = (ulong)values[0], Cpus = Fields.Small(values[1]), WallMilliseconds = values[2],
        CpuMilliseconds = values[3], Processes = Fields.Small(values[4]), OutputBytes = values[5],
        TmpBytes = (ulong)values[6], OpenFiles = Fields.Small(values[7]),
    };

    static string[] TakeDescriptors(Fields fields)
    {
        List<string> kinds = [];
        while (fields.TryTake("descriptor") is string kind)
            kinds.Add(s_kinds.Contains(kind) && kinds.Count < Host.SeqpacketChannel.MaxDescriptors
                ? kind
                : throw new FormatException("no descriptor"));
        return [.. kinds];
    }

    static RecordedSocket? TakeSocket(Fields fields)
    {
        if (fields.TryTake("socket") is not string socket)
            return null;
        string[] parts = socket.Split(' ', 2);
        if (parts.Length < 2 || !ulong.TryParse(
            parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out ulong inode))
            throw new FormatException("no socket");
        string path = Fields.UnescapeAtMost(MaximumFolder, parts[1]);
        return path.StartsWith('/') && !path.Contains('\0')
            ? new RecordedSocket(inode, path)
            : throw new FormatException("no socket's path");
    }

    static RecordedEnd? TakeEnd(Fields fields)
    {
        RecordedEnd? end = null;
        if (fields.TryTakeNumbers("ended", 3) is long[] values)
            end = new RecordedEnd((int)Fields.Between(values[1], byte.MaxValue), null, values[0],
                (ulong?)fields.TryTakeNumbers("peak", 1)?[0], values[2]) { Line = fields.TakeText("because") };
        fields.Expect(Last);
        fields.ExpectEnd();
        return end;
    }

    /// <summary>What is written.</summary>
    sealed class Lines
    {
        readonly StringBuilder _text = new(1024);

        public byte[] Bytes => Encoding.UTF8.GetBytes(_text.ToString());

        public void Add(string line) => _text.Append(line).Append('\n');

        public void Add(string key, string value) => _text.Append(key).Append(' ').Append(value).Append('\n');

        public void Add(string key, params ReadOnlySpan<long> values)
        {
            _text.Append(key);
            foreach (long value in values)
                _text.Append(CultureInfo.InvariantCulture, $" {value}");
            _text.Append('\n');
        }

        public void AddIf(string key, bool isSo)
        {
            if (isSo)
                Add(key);
        }

        public void AddText(string key, string? value)
        {
            if (value is null)
                return;
            _text.Append(key).Append(' ');
            foreach (char c in value)
            {
                if (c == '\\' || char.IsControl(c) || char.IsSurrogate(c) || c is '\u2028' or '\u2029')
                    _text.Append(CultureInfo.InvariantCulture, $"\\{(int)c:x4}");
                else
                    _text.Append(c);
            }

            _text.Append('\n');
        }
    }

    /// <summary>What is read, line by line.</summary>
    /// <exception cref="FormatException">From every method: it is not what it should be.</exception>
    sealed class Fields(string text)
    {
        readonly string[] _lines = text.Split('\n');
        int _at;

        string Line => _at < _lines.Length ? _lines[_at] : "";

        public void Expect(string line)
        {
            if (Line != line)
                throw new FormatException($"not {line}");
            _at++;
        }

        public void ExpectEnd()
        {
            if (_at != _lines.Length - 1 || Line.Length > 0)
                throw new FormatException("more than a record");
        }

        public bool TakeIf(string key)
        {
            if (Line != key)
                return false;
            _at++;
            return true;
        }

        public string? TryTake(string key) =>
            Line.Length > key.Length && Line[key.Length] == ' ' && Line.StartsWith(key, StringComparison.Ordinal)
                ? _lines[_at++][(key.Length + 1)..]
                : null;

        public string Take(string key) => TryTake(key) ?? throw new FormatException($"no {key}");

        /// <summary>No longer than what is written.</summary>
        public string? TakeText(string key, int most = MaximumText) =>
            TryTake(key) is string value ? UnescapeAtMost(most, value) : null;

        /// <param name="room">Characters of all together.</param>
        public string[] TakeTexts(string key, int most, int room)
        {
            List<string> texts = [];
            while (TakeText(key, room) is string value)
            {
                texts.Add(texts.Count < most ? value : throw new FormatException($"too many of {key}"));
                room -= value.Length;
            }

            return [.. texts];
        }

        public static string UnescapeAtMost(int most, string value) =>
            Unescape(value) is var text && text.Length <= most ? text : throw new FormatException("too long a text");

        public long[] TakeNumbers(string key, int count) =>
            TryTakeNumbers(key, count) ?? throw new FormatException($"no {key}");

        public long[]? TryTakeNumbers(string key, int count)
        {
            string[]? parts = TryTake(key)?.Split(' ');
            return parts is null ? null
                : parts.Length == count ? Array.ConvertAll(parts, Number)
                : throw new FormatException($"not {count} numbers");
        }

        public static long Number(string text) =>
            long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long value)
                ? value
                : throw new FormatException("no number");

        public static int Small(long value) => (int)Between(value, int.MaxValue);

        public static long Between(long value, long most) =>
            value <= most ? value : throw new FormatException("too large a number");

        static string Unescape(string value)
        {
            if (!value.Contains('\\'))
                return value;
            var plain = new StringBuilder(value.Length);
            for (int i = 0; i < value.Length; i++)
            {
                if (value[i] != '\\')
                {
                    plain.Append(value[i]);
                    continue;
                }

                if (i + 4 >= value.Length || !ushort.TryParse(
                    value.AsSpan(i + 1, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort c))
                    throw new FormatException("no escape");
                plain.Append((char)c);
                i += 4;
            }

            return plain.ToString();
        }
    }
}
