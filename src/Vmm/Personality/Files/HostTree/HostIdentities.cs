using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// How host owners appear in the guest. What belongs to the VMM's own user, or to the owner of the granted directory,
/// belongs to the guest's user; root stays root; everybody else is nobody. Host user numbers are not shown.
/// </summary>
public sealed class HostIdentities(uint hostUid, uint[] hostGroups, uint guestUid, uint guestGid)
{
    public const uint Nobody = 65534;

    /// <param name="guestUid">The plan's user.</param>
    public static unsafe HostIdentities OfThisProcess(uint guestUid, uint guestGid)
    {
        int count = getgroups(0, null);
        uint[] groups = new uint[Math.Max(count, 0) + 1];
        fixed (uint* list = groups)
        {
            if (count > 0 && getgroups(count, list) < 0)
                throw HostException.Last("getgroups");
        }
        groups[^1] = getegid();
        return new(geteuid(), groups, guestUid, guestGid);
    }

    /// <param name="grantor">
    /// The owner of the granted directory. Null for system directories: there root owns, whoever runs the VMM.
    /// </param>
    public Owner ToGuest(uint uid, uint gid, Owner? grantor)
    {
        bool ownUid = grantor is { } owner ? uid == hostUid || (uid == owner.Uid && uid != 0) : uid == hostUid && uid != 0;
        bool ownGid = grantor is { } group
            ? Array.IndexOf(hostGroups, gid) >= 0 || (gid == group.Gid && gid != 0)
            : Array.IndexOf(hostGroups, gid) >= 0 && gid != 0;
        return new(
            ownUid ? guestUid : uid == 0 ? 0 : Nobody,
            ownGid ? guestGid : gid == 0 ? 0 : Nobody);
    }
}
