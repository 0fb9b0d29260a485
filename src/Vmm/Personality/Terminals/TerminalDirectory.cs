using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;

namespace Sandbox.Vmm.Personality.Terminals;

/// <summary>The guest's terminals as the file tree shows them in /dev/pts.</summary>
sealed class TerminalDirectory(PseudoTerminals terminals) : IPseudoTerminals
{
    public void List(List<int> numbers)
    {
        for (int number = terminals.Next(0); number >= 0; number = terminals.Next(number + 1))
            numbers.Add(number);
    }

    public bool TryGetStatus(int number, out Owner owner, out uint permissions)
    {
        bool found = terminals.TryGetStatus(number, out stat status);
        owner = new Owner(status.st_uid, status.st_gid);
        permissions = status.st_mode & 0xfff;
        return found;
    }

    public long Open(GuestThread thread, Dentry dentry, int number, int flags, out OpenFile? file) =>
        terminals.OpenSlave(thread, number, flags, out file);
}
