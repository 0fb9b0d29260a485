using System.Globalization;
using System.Net;
using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

namespace Sandbox.Bench.Policy;

/// <summary>A policy of a given size, and requests to it that differ from one another and come in no order.</summary>
static class SamplePolicy
{
    /// <summary>A power of two. More than a processor remembers of one request when the next is made.</summary>
    public const int Requests = 4096;

    /// <summary>Half of the rules are about paths, a tenth of them with wildcards; half about the network.</summary>
    public static string Text(int rules)
    {
        var text = new StringBuilder("version: 1\nfragment: true\nfiles:\n  show:\n    - {path: /data}\n  rules:\n");
        for (int i = 0; i < rules / 2; i++)
        {
            string pattern = i % 10 == 0 ? $"/data/**/project{i}/*.key" : $"/data/team{i % 97}/project{i}/src/**";
            text.Append(CultureInfo.InvariantCulture, $"    - {{{(i % 3 == 0 ? "deny" : "allow")}: [read, write], path: '{pattern}'}}\n");
        }

        text.Append("network:\n");
        // One of them is what is shown.
        for (int i = 0; i < rules - rules / 2 - 1; i++)
            text.Append(
                CultureInfo.InvariantCulture,
                $"  - {{{(i % 3 == 0 ? "deny" : "allow")}: connect, to: 20.{i / 250}.{i % 250}.0/24, port: [80, 443, 8000-8{i % 1000:000}]}}\n");
        return text.ToString();
    }

    public static CompiledPolicy Load(string text)
    {
        // In full: what the benchmark library brings along has a namespace of this name.
        var diagnostics = new Sandbox.Policy.Language.Diagnostics();
        return CompiledPolicy.Load(new SourceText("bench", text), new NoFiles(), diagnostics)
            ?? throw new InvalidOperationException(diagnostics.List[0].Message);
    }

    /// <summary>Below folders that rules name, beside them, and for their wildcards.</summary>
    public static byte[][] Paths(int rules)
    {
        var random = new Random(1);
        return [.. Enumerable.Range(0, Requests).Select(i =>
        {
            int rule = random.Next(rules / 2);
            string path = (i % 4) switch
            {
                0 => $"/data/team{rule % 97}/project{rule}/src/deep/file{i}.c",
                1 => $"/data/team{rule % 97}/project{rule}/doc/part{i}/text",
                2 => $"/data/a{i}/b/project{rule / 10 * 10}/secret.key",
                _ => $"/usr/lib/x{i}/y.so.1",
            };
            return Encoding.UTF8.GetBytes(path);
        })];
    }

    /// <summary>Inside blocks that rules name, and beside them.</summary>
    public static (IPAddress Address, ushort Port)[] Addresses(int rules)
    {
        var random = new Random(2);
        return [.. Enumerable.Range(0, Requests).Select(i =>
        {
            int rule = random.Next(rules / 2);
            byte[] address = i % 4 == 3 ? [93, 184, (byte)i, 34] : [20, (byte)(rule / 250), (byte)(rule % 250), (byte)i];
            return (new IPAddress(address), (ushort)(i % 3 == 0 ? 443 : 8000 + random.Next(1000)));
        })];
    }

    sealed class NoFiles : IPolicyFiles
    {
        public SourceText? Read(string name, out string problem)
        {
            problem = "is not there";
            return null;
        }
    }
}
