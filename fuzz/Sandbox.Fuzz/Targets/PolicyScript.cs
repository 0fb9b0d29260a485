using System.Text;
using Sandbox.Policy.Language;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// Policies in few bytes, so that mutations reach the engine instead of the YAML reader: one entry to a line, words
/// between spaces. What begins with "version" is YAML as it stands.
/// </summary>
static class PolicyScript
{
    public static IReadOnlyList<string> Words { get; } =
    [
        "\n=\n", "\n+ rwxcd /", "\n- rwxcd /", "\ns rwxcd /", "/**", "/*", "*a", "\\*", "~/", "/home/sandbox",
        "\nC+ tcp ", "\nC- udp ", "\nL+ tcp ", "\nR+ . *.", "0.0.0.0/0", "10.0.0.0/8", "::/0", "169.254.169.254", " 0-65535", " 80",
        "\nk+ @all", "\nk- open", " 0 int 0xffffffff == 0", " 1 long 0x3 != 1", " < ", " >= ", "\nmemory 1G", "\nuser root", "a.org",
        "\ns- /", "\nd+ block /a", "\nd- block", "\ndeny-environment A",
    ];

    public static IEnumerable<(string Name, string Text)> Seeds { get; } =
    [
        ("paths", "s rx /usr\ns rwxcd /d\n- r /d/**/x\n+ w /usr/*.o\n=\ns rx /usr\ns rwxcd /d\n- r /d/*/x\n+ w /usr/a*.o"),
        ("home", "s rw ~\n- w ~/a\\*\n=\ns rw /home/sandbox\n- w ~/*"),
        ("network", "C+ tcp 8.8.8.0/24 53\nC- udp ::/0 0-100\nL+ tcp 127.0.0.1 80\nR+ . *.a.org\n=\nC+ tcp 0.0.0.0/0 1-99\nC- udp fd00::/8 7\nR- . x.a.org\nC+ tcp a.org 443"),
        ("calls", "k+ @all\nk- open 1 int 0x40 == 0x40\n=\nk+ open 1 int 0xffffffff < 5 0 long 0xffffffffffffffff >= 0x100000000\nk- @debug"),
        ("names", "C+ tcp a.org 1-9\nC- tcp 0.0.0.0/0\nC- tcp ::/0 5\n=\nC+ tcp 8.8.8.0/24\nC- tcp b.org 7\nC- tcp ::/0"),
        ("masks", "k- open 1 int 0x3 == 1\nk- open 1 int 0x6 != 2 0 long 0xc < 5\nk+ open\n=\nk- open 1 int 0x7 == 5\nk+ open 1 long 0x5 >= 4"),
        ("denials", "s rwxcd /d\ns rx /d/a\ns- /d/x\nd+ block /a\nd- random\ndeny-environment A\n=\ns rx /d\ns- /d/x/y\nd+ random\nd- block /a"),
        ("settings", "memory 1G\nuser alice\n=\nmemory 2G\nuser root"),
        ("yaml", "version: 1\nfragment: true\nfiles: {rules: [{deny: read, path: /a}]}\n=\nversion: 1\nfragment: true\nisolation: [seccomp]\ncommand-line: [mount]"),
    ];

    /// <summary>Null for what is not a policy.</summary>
    public static CompiledPolicy? Read(string script)
    {
        string text = script.StartsWith("version", StringComparison.Ordinal) ? script : Write(script);
        return CompiledPolicy.Load(new SourceText("policy", text), new NoFiles(), new Diagnostics());
    }

    static string Write(string script)
    {
        var guest = new List<string>();
        var sections = new Dictionary<string, List<string>> { ["show"] = [], ["rules"] = [], ["network"] = [], ["syscalls"] = [], ["devices"] = [] };
        foreach (string line in script.Split('\n'))
        {
            string[] words = line.Split(' ');
            switch (words)
            {
                case ["s", string access, string path]:
                    sections["show"].Add($"{{path: {Quoted(path)}, memory: true, access: {Accesses(access)}}}");
                    break;
                case ["s-", string path]:
                    sections["show"].Add($"{{deny: {Quoted(path)}}}");
                    break;
                case ["d+" or "d-", string device, .. string[] from]:
                    sections["devices"].Add($"{{{(words[0] == "d+" ? "device" : "deny")}: {Quoted(device)}{(from.Length > 0 ? $", from: {Quoted(from[0])}" : "")}}}");
                    break;
                case ["+" or "-", string access, string path]:
                    sections["rules"].Add($"{{{Action(words[0])}: {Accesses(access)}, path: {Quoted(path)}}}");
                    break;
                case [['C' or 'L' or 'R', '+' or '-'], string protocol, string target, ..]:
                    string action = words[0][0] switch { 'C' => "connect", 'L' => "listen", _ => "resolve" };
                    string only = protocol is "tcp" or "udp" ? $", protocol: {protocol}" : "";
                    string port = words.Length > 3 ? $", port: [{string.Join(", ", words[3..].Select(Quoted))}]" : "";
                    sections["network"].Add($"{{{Action(words[0][1..])}: {action}, to: {Quoted(target)}{only}{port}}}");
                    break;
                case [['k', '+' or '-'], string call, .. string[] rest]:
                    string when = string.Join(", ", rest.Chunk(5).Where(five => five.Length == 5).Select(five =>
                        $"{{argument: {Quoted(five[0])}, as: {Quoted(five[1])}, mask: {Quoted(five[2])}, is: {Quoted(five[3])}, value: {Quoted(five[4])}}}"));
                    sections["syscalls"].Add($"{{{Action(words[0][1..])}: {Quoted(call)}{(when.Length > 0 ? $", when: [{when}]" : "")}}}");
                    break;
                case [string key, string value]:
                    guest.Add($"{Quoted(key)}: {Quoted(value)}");
                    break;
            }
        }

        var text = new StringBuilder($"version: 1\nfragment: true\nguest: {{{string.Join(", ", guest)}}}\nfiles:\n");
        foreach ((string section, List<string> entries) in sections)
            text.Append($"{(section is "show" or "rules" ? "  " : "")}{section}: [{string.Join(",\n    ", entries)}]\n");
        return text.ToString();
    }

    static string Action(string sign) => sign == "+" ? "allow" : "deny";

    static string Accesses(string letters) => $"[{string.Join(", ", letters.Select(letter => letter switch
    {
        'r' => "read", 'w' => "write", 'x' => "execute", 'c' => "create", 'd' => "delete", _ => "nothing",
    }).Distinct())}]";

    static string Quoted(string text) => $"'{text.Replace("'", "''", StringComparison.Ordinal)}'";

    sealed class NoFiles : IPolicyFiles
    {
        public SourceText? Read(string name, out string problem)
        {
            problem = "is not there";
            return null;
        }
    }
}
