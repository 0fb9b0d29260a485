using System.Net;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// For each port an address that the name of a host may turn out to have, such that what rules say of the name makes a
/// difference there. A name never leads to a reserved address.
/// </summary>
sealed class NamedAddresses
{
    NamedAddresses()
    {
    }

    /// <summary>No rule of the old policy on addresses denies it.</summary>
    public FirstByPort<IPAddress> NotDeniedByOld { get; } = new();

    public FirstByPort<IPAddress> NotDeniedByNew { get; } = new();

    /// <summary>
    /// Besides, no rule of the new policy on addresses allows it: only there a name that it does not know differs.
    /// </summary>
    public FirstByPort<IPAddress> NotDeniedByOldNorAllowedByNew { get; } = new();

    public FirstByPort<IPAddress> NotDeniedByNewNorAllowedByOld { get; } = new();

    /// <summary>Of two policies whose regions there was time to look at.</summary>
    public static NamedAddresses Of(CompiledPolicy old, CompiledPolicy @new, NetworkProtocol protocol)
    {
        var found = new NamedAddresses();
        var regions = new AddressRegions();
        foreach (bool six in (ReadOnlySpan<bool>)[false, true])
        {
            AddressTable before = NetworkComparison.TableOf(old, NetworkAction.Connect, protocol, six);
            AddressTable after = NetworkComparison.TableOf(@new, NetworkAction.Connect, protocol, six);
            foreach (UInt128 start in AddressRegions.Starts(before, after, six))
            {
                IPAddress address = AddressRegions.Address(start, six);
                if (ReservedBlocks.Of(address) is not null)
                    continue;
                ushort[] ports = regions.PortsAt(before, after, start)!;
                for (int i = 0; i < ports.Length; i++)
                    found.Add(address, ports[i], AddressRegions.LastOf(ports, i), before.Decide(start, ports[i]),
                        after.Decide(start, ports[i]));
            }
        }

        return found;
    }

    void Add(IPAddress address, ushort first, ushort last, Verdict old, Verdict @new)
    {
        if (!old.IsDeny)
            NotDeniedByOld.Add(first, last, address);
        if (!@new.IsDeny)
            NotDeniedByNew.Add(first, last, address);
        if (!old.IsDeny && !@new.Allowed)
            NotDeniedByOldNorAllowedByNew.Add(first, last, address);
        if (!@new.IsDeny && !old.Allowed)
            NotDeniedByNewNorAllowedByOld.Add(first, last, address);
    }
}
