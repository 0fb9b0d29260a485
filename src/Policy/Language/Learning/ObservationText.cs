using System.Globalization;
using System.Text;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// Observations as a file, so that they can be added to later. One request a line; paths come last in it.
/// </summary>
public static class ObservationText
{
    const string Title = "sandbox-observations 1";

    const string Used = "network";

    const string Refused = "network-refused";

    public static string Write(Observations observations)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{Title}\nruns {observations.Runs}\n");
        if (observations.Unnameable.Times > 0)
            text.Append($"unnameable {Numbers(observations.Unnameable)}\n");
        foreach ((PathRequest request, Sightings seen) in observations.Paths)
            text.Append($"{Word(request.Access)} {Numbers(seen)} {request.Path}\n");
        foreach (((string old, string @new), Sightings seen) in observations.Moves)
            text.Append($"move {Numbers(seen)} {old}\0{@new}\n");
        foreach ((int call, Sightings seen) in observations.Calls)
            text.Append($"call {Numbers(seen)} {SystemCallNames.NameOf(call)}\n");
        foreach (((bool allowed, string request), Sightings seen) in observations.Network)
            text.Append($"{(allowed ? Used : Refused)} {Numbers(seen)} {request}\n");
        return text.ToString();
    }

    /// <param name="problem">What is wrong, with its line, when null is returned.</param>
    public static Observations? Read(string text, out string problem)
    {
        string[] lines = text.Split('\n');
        problem = "line 1: these are no observations";
        if (lines.Length < 3 || lines[0] != Title || lines[^1].Length > 0)
            return null;
        problem = "line 2: the number of runs is missing";
        if (!lines[1].StartsWith("runs ", StringComparison.Ordinal)
            || !int.TryParse(lines[1].AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out int runs))
            return null;
        Observations observations = Observations.Begin(runs, default);
        for (int i = 2; i < lines.Length - 1; i++)
        {
            problem = $"line {i + 1}: {Quote.Value(lines[i])} is no observation";
            if (!TryReadLine(lines[i], runs, ref observations))
                return null;
        }

        return observations;
    }

    static bool TryReadLine(string line, int runs, ref Observations observations)
    {
        string[] words = line.Split(' ', 4);
        if (words.Length < 3
            || !long.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out long times)
            || !int.TryParse(words[2], NumberStyles.None, CultureInfo.InvariantCulture, out int inRuns)
            || inRuns > runs)
            return false;
        var seen = new Sightings(times, inRuns);
        string rest = words.Length == 4 ? words[3] : "";
        switch (words[0])
        {
            case "unnameable" when rest.Length == 0 && observations is { Paths.Count: 0, Unnameable.Times: 0 }:
                observations = Observations.Begin(runs, seen);
                return true;
            case "call":
                bool[] calls = new bool[SystemCallNames.Limit];
                return !rest.StartsWith('@') && SystemCallNames.TryFind(rest, calls)
                    && observations.Calls.TryAdd(Array.IndexOf(calls, true), seen);
            case "move":
                return rest.Split('\0') is [string old, string renamed] && IsPath(old) && IsPath(renamed)
                    && observations.Moves.TryAdd((old, renamed), seen);
            case Used or Refused:
                return Request.TryParse(rest, "/", out _) is Request.Connect or Request.Listen or Request.Resolve
                    && observations.Network.TryAdd((words[0] == Used, rest), seen);
            default:
                int access = Array.FindIndex([.. PolicySchema.Accesses], name => name == words[0]);
                return (access >= 0 || words[0] == "look") && IsPath(rest)
                    && observations.Paths.TryAdd(
                        new PathRequest(access < 0 ? PathAccess.None : (PathAccess)(1 << access), rest), seen);
        }
    }

    static bool IsPath(string text) => GuestPath.TryNormalize(text, out string normalized, out _) && normalized == text;

    static string Word(PathAccess access) => access == PathAccess.None ? "look" : AccessText.Format(access);

    static string Numbers(Sightings seen) => string.Create(CultureInfo.InvariantCulture, $"{seen.Times} {seen.Runs}");
}
