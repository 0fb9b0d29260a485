using System.Net;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

namespace Sandbox.Policy.Tests;

/// <summary>A difference about connecting that is shown with names of hosts: whether there is any truth in it.</summary>
/// <param name="Names">Of the request itself, and of who else is there.</param>
sealed record NamedWitness(Request.Connect Asked, IReadOnlyList<string> Names, Change Change)
{
    /// <summary>Null for a difference that names no host.</summary>
    public static NamedWitness? Of(Difference difference)
    {
        string[] words = difference.Witness.Split(' ');
        if (words[0] != "connect" || Request.TryParse(string.Join(' ', words[..3]), "/", out _) is not Request.Connect asked)
            return null;
        var names = new List<string>();
        if (asked.Address is null)
            names.Add(asked.Host);
        if (words.Length > 3)
            names.Add(words[4]);
        return names.Count == 0 ? null : new NamedWitness(asked, names, difference.Change);
    }

    /// <summary>There is an address such that, when all of the names have it, the policies answer differently about it, and that way round.</summary>
    public bool IsReal(CompiledPolicy old, CompiledPolicy @new) =>
        (Asked.Address is null ? Addresses(old).Concat(Addresses(@new)) : [Asked.Address]).Any(address =>
        {
            var pins = Names.ToDictionary(name => name, _ => (IReadOnlyList<IPAddress>)[address]);
            bool before = Allows(old, address, pins), after = Allows(@new, address, pins);
            return before != after && after == (Change == Change.Allowed);
        });

    bool Allows(CompiledPolicy policy, IPAddress address, Dictionary<string, IReadOnlyList<IPAddress>> pins) =>
        ReferenceEvaluator.Address(policy.Model, NetworkAction.Connect, Asked.Protocol, address, Asked.Port, pins).Allowed;

    /// <summary>One of each region: where a block of any rule, or a reserved one, begins, and behind where it ends.</summary>
    static IEnumerable<IPAddress> Addresses(CompiledPolicy policy)
    {
        foreach (bool six in (bool[])[false, true])
            foreach (AddressTable table in six ? policy.Network.SixteenByteAddresses : policy.Network.FourByteAddresses)
                foreach (UInt128 start in AddressRegions.Starts(table, table, six))
                    yield return AddressRegions.Address(start, six);
    }
}
