using System.Text;

namespace Sandbox.Policy.Language;

/// <summary>
/// The pattern that stands for a path which a program used. It is the path itself but for names that are different
/// each time, of which there are four kinds; a folder never stands for what it holds.
/// </summary>
/// <remarks>
/// The numbers in /proc/NUMBER, /proc/NUMBER/task/NUMBER, .../fd/NUMBER, .../fdinfo/NUMBER and /dev/pts/NUMBER become
/// *. In folders in memory, names as mkstemp(3) and its relatives make them: "tmp" and eight of a-z 0-9 _, or "tmp."
/// and ten letters or digits, become tmp* and tmp.*; "cc" and six letters or digits before an ending becomes
/// cc*.ENDING. There too, eight of a-z 0-9 _ with at least one that is no letter, which not every run used, become *.
/// NAME.DIGITS with five digits or more, where something is written first and then renamed, becomes NAME.*.
/// </remarks>
static class Generalization
{
    /// <param name="memory">Guest paths of folders in memory.</param>
    /// <param name="everyRun">Whether every run used this path.</param>
    public static string PatternOf(string path, IReadOnlyCollection<string> memory, bool everyRun)
    {
        if (path == "/")
            return path;
        bool temporary = memory.Any(folder => path != folder && GuestPath.IsWithin(path, folder));
        string[] names = path[1..].Split('/');
        var pattern = new StringBuilder();
        for (int i = 0; i < names.Length; i++)
            pattern.Append('/').Append(IsNumberOfTheGuest(names, i) ? "*" : OfName(names[i], temporary, everyRun));
        return pattern.ToString();
    }

    static bool IsNumberOfTheGuest(string[] names, int at) => names[at].All(char.IsAsciiDigit) && names[..at] switch
    {
        ["proc"] or ["proc", _, "task"] or ["dev", "pts"] => true,
        ["proc", _, .., "fd" or "fdinfo"] => true,
        _ => false,
    };

    static string OfName(string name, bool temporary, bool everyRun)
    {
        int dot = name.LastIndexOf('.');
        if (dot > 0 && name.Length - dot > 5 && name.AsSpan(dot + 1).IndexOfAnyExceptInRange('0', '9') < 0)
            return PathPattern.Escape(name[..(dot + 1)]) + "*";
        if (!temporary)
            return PathPattern.Escape(name);
        if (name.StartsWith("tmp.", StringComparison.Ordinal)
            && name.Length == 14
            && name[4..].All(char.IsAsciiLetterOrDigit))
            return "tmp.*";
        if (name.StartsWith("tmp", StringComparison.Ordinal) && name.Length == 11 && IsRandom(name[3..]))
            return "tmp*";
        if (!everyRun && name.Length == 8 && IsRandom(name) && !name.All(char.IsAsciiLetter))
            return "*";
        if (name.StartsWith("cc", StringComparison.Ordinal) && dot == 8 && name[2..8].All(char.IsAsciiLetterOrDigit))
            return "cc*" + PathPattern.Escape(name[dot..]);
        return PathPattern.Escape(name);
    }

    static bool IsRandom(string text) => text.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '_');
}
