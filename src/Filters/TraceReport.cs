using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using Sandbox.Host;

namespace Sandbox.Filters;

/// <summary>
/// What recorded runs needed of the rules, and what they needed that no rule allows. The record is strace's, of a VMM
/// in a jail without namespaces (or numbers of threads would not be the recorder's) and without filters:
/// <c>strace -ff -e raw=all -o FOLDER/t COMMAND</c>, one file for each thread.
/// </summary>
sealed partial class TraceReport
{
    private readonly HashSet<Rule> _used = [];
    private readonly SortedDictionary<string, string> _forbidden = new(StringComparer.Ordinal);

    /// <summary>Rows that no recorded call needed.</summary>
    public IEnumerable<Rule> Unused => RuleTable.All.Where(rule => !_used.Contains(rule));

    /// <summary>Calls that no row allows, each with its first appearance.</summary>
    public IEnumerable<string> Forbidden => _forbidden.Select(call => $"{call.Key}: {call.Value}");

    public void Read(string folder)
    {
        Dictionary<int, string[]> threads = Directory.GetFiles(folder).ToDictionary(
            file => int.Parse(Path.GetExtension(file)[1..], CultureInfo.InvariantCulture), File.ReadAllLines);
        foreach ((int main, string[] lines) in threads)
            if (lines.Any(line => line.StartsWith("execve(", StringComparison.Ordinal))
                && lines.Any(line => line.StartsWith("landlock_restrict_self(", StringComparison.Ordinal)))
                ReadVmm(threads, main);
    }

    private void ReadVmm(Dictionary<int, string[]> threads, int number)
    {
        if (!threads.Remove(number, out string[]? lines))
            return;
        foreach (string line in lines)
            if (Started().Match(line) is { Success: true } started)
                ReadVmm(threads, (int)Number(started.Groups[1].Value));
        // What comes before the plan's walls is not filtered.
        int last = Array.FindLastIndex(
            lines, line => line.StartsWith("landlock_restrict_self(", StringComparison.Ordinal));
        foreach (string line in lines.Skip(last + 1))
            if (Call().Match(line) is { Success: true } call)
                Count(call.Groups[1].Value, call.Groups[2].Value, line);
    }

    private void Count(string name, string text, string line)
    {
        ulong[] arguments = [.. text.Split(", ", StringSplitOptions.RemoveEmptyEntries).Select(Number)];
        int number = NumberOf(name);
        Rule[] allowing = [.. RuleTable.All.Where(rule => rule.Number == number && rule.Conditions.All(condition =>
            condition.Values.Any(value => value == Condition.OwnPid
                || ((arguments.ElementAtOrDefault((int)condition.Argument) ^ value) & condition.Mask) == 0)))];
        _used.UnionWith(allowing);
        if (allowing.Length == 0)
            _forbidden.TryAdd(name, line);
    }

    private static int NumberOf(string name)
    {
        // For one that strace does not know.
        const string nameless = "syscall_";
        if (name.StartsWith(nameless, StringComparison.Ordinal))
            return (int)Number(name[nameless.Length..]);
        return (int)(typeof(Libc).GetField($"SYS_{name}", BindingFlags.Public | BindingFlags.Static)
            ?? throw new InvalidDataException($"unknown system call {name}")).GetRawConstantValue()!;
    }

    private static ulong Number(string text) =>
        text.StartsWith("0x", StringComparison.Ordinal)
            ? ulong.Parse(text[2..], NumberStyles.HexNumber, CultureInfo.InvariantCulture)
        : ulong.TryParse(text, CultureInfo.InvariantCulture, out ulong number) ? number : 0;

    [GeneratedRegex(@"^(\w+)\(([^)]*)")]
    private static partial Regex Call();

    // Versions of strace differ in how they write it.
    [GeneratedRegex(@"^clone3?\(.* = (0x[0-9a-f]+|\d+)$")]
    private static partial Regex Started();
}
