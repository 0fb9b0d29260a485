using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// How host owners appear in the guest. What belongs to the VMM's own user, or to the owner of the granted directory,
/// belongs to the guest's user; root stays root; everybody else is nobody. Host user numbers are not shown.
/// </summary>
/// <remarks>
/// A jail that somebody other than root built shows the VMM nobody's number in place of root's, as of all others'.
/// </remarks>
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
        bool ownUid = uid == hostUid, ownGid = Array.IndexOf(hostGroups, gid) >= 0;
        if (grantor is not { } owner)
            return new(
                ownUid && uid != 0 ? guestUid : uid is 0 or Nobody ? 0 : Nobody,
                ownGid && gid != 0 ? guestGid : gid is 0 or Nobody ? 0 : Nobody);
        ownUid |= uid == owner.Uid && uid is not (0 or Nobody);
        ownGid |= gid == owner.Gid && gid is not (0 or Nobody);
        return new(
            ownUid ? guestUid : uid == 0 ? 0 : Nobody,
            ownGid ? guestGid : gid == 0 ? 0 : Nobody);
    }
}
