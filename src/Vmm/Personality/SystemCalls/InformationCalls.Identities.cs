using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// Users, groups and capabilities: the guest's own numbers, which mean nothing on the host (credentials(7)).
static partial class InformationCalls
{
    private const uint MaximumGroups = 1024;

    private const ulong AllCapabilities = (1UL << (CAP_LAST_CAP + 1)) - 1;

    private static void RegisterIdentities(SystemCallTable table)
    {
        table.Add(SYS_getuid, "getuid", static (t, in a) => t.Process.Credentials.RealUid, "");
        table.Add(SYS_geteuid, "geteuid", static (t, in a) => t.Process.Credentials.EffectiveUid, "");
        table.Add(SYS_getgid, "getgid", static (t, in a) => t.Process.Credentials.RealGid, "");
        table.Add(SYS_getegid, "getegid", static (t, in a) => t.Process.Credentials.EffectiveGid, "");
        table.Add(SYS_getresuid, "getresuid", Getresuid, "ptr ptr ptr");
        table.Add(SYS_getresgid, "getresgid", Getresgid, "ptr ptr ptr");
        table.Add(SYS_setuid, "setuid", Setuid, "uint");
        table.Add(SYS_setgid, "setgid", Setgid, "uint");
        table.Add(SYS_setreuid, "setreuid", Setreuid, "int int");
        table.Add(SYS_setregid, "setregid", Setregid, "int int");
        table.Add(SYS_setresuid, "setresuid", Setresuid, "int int int");
        table.Add(SYS_setresgid, "setresgid", Setresgid, "int int int");
        table.Add(SYS_setfsuid, "setfsuid", Setfsuid, "uint");
        table.Add(SYS_setfsgid, "setfsgid", Setfsgid, "uint");
        table.Add(SYS_getgroups, "getgroups", Getgroups, "int ptr");
        table.Add(SYS_setgroups, "setgroups", Setgroups, "int ptr");
        table.Add(SYS_capget, "capget", Capget, "ptr ptr");
        table.Add(SYS_capset, "capset", Capset, "ptr ptr");
    }

    private static long Getresuid(GuestThread thread, in SystemCallArguments a)
    {
        Credentials own = thread.Process.Credentials;
        return WriteThree(thread, a, own.RealUid, own.EffectiveUid, own.SavedUid);
    }

    private static long Getresgid(GuestThread thread, in SystemCallArguments a)
    {
        Credentials own = thread.Process.Credentials;
        return WriteThree(thread, a, own.RealGid, own.EffectiveGid, own.SavedGid);
    }

    private static long WriteThree(GuestThread thread, in SystemCallArguments a, uint one, uint two, uint three) =>
        thread.Memory.TryWrite(new VirtualAddress(a.A0), one) && thread.Memory.TryWrite(new VirtualAddress(a.A1), two)
        && thread.Memory.TryWrite(new VirtualAddress(a.A2), three) ? 0 : -EFAULT;

    private static long Setuid(GuestThread thread, in SystemCallArguments a)
    {
        Credentials own = thread.Process.Credentials;
        if ((uint)a.A0 == IdentitySet.Unchanged)
            return -EINVAL;
        bool may = own.UserIds.TrySet((uint)a.A0, own.IsSuperuser, out IdentitySet ids);
        return Adopt(thread, may, own with { UserIds = ids });
    }

    private static long Setgid(GuestThread thread, in SystemCallArguments a)
    {
        Credentials own = thread.Process.Credentials;
        if ((uint)a.A0 == IdentitySet.Unchanged)
            return -EINVAL;
        bool may = own.GroupIds.TrySet((uint)a.A0, own.IsSuperuser, out IdentitySet ids);
        return Adopt(thread, may, own with { GroupIds = ids });
    }

    private static long Setreuid(GuestThread thread, in SystemCallArguments a)
    {
        Credentials own = thread.Process.Credentials;
        bool may = own.UserIds.TrySet((uint)a.A0, (uint)a.A1, own.IsSuperuser, out IdentitySet ids);
        return Adopt(thread, may, own with { UserIds = ids });
    }

    private static long Setregid(GuestThread thread, in SystemCallArguments a)
    {
        Credentials own = thread.Process.Credentials;
        bool may = own.GroupIds.TrySet((uint)a.A0, (uint)a.A1, own.IsSuperuser, out IdentitySet ids);
        return Adopt(thread, may, own with { GroupIds = ids });
    }

    private static long Setresuid(GuestThread thread, in SystemCallArguments a)
    {
        Credentials own = thread.Process.Credentials;
        bool may = own.UserIds.TrySet((uint)a.A0, (uint)a.A1, (uint)a.A2, own.IsSuperuser, out IdentitySet ids);
        return Adopt(thread, may, own with { UserIds = ids });
    }

    private static long Setresgid(GuestThread thread, in SystemCallArguments a)
    {
        Credentials own = thread.Process.Credentials;
        bool may = own.GroupIds.TrySet((uint)a.A0, (uint)a.A1, (uint)a.A2, own.IsSuperuser, out IdentitySet ids);
        return Adopt(thread, may, own with { GroupIds = ids });
    }

    private static long Adopt(GuestThread thread, bool may, Credentials changed)
    {
        if (!may)
            return -EPERM;
        thread.Process.Credentials = changed;
        return 0;
    }

    /// <summary>Answers the old id whether it worked or not, as the kernel does.</summary>
    private static long Setfsuid(GuestThread thread, in SystemCallArguments a)
    {
        Credentials own = thread.Process.Credentials;
        thread.Process.Credentials = own with { UserIds = own.UserIds.SetFileSystem((uint)a.A0, own.IsSuperuser) };
        return own.FileSystemUid;
    }

    private static long Setfsgid(GuestThread thread, in SystemCallArguments a)
    {
        Credentials own = thread.Process.Credentials;
        thread.Process.Credentials = own with { GroupIds = own.GroupIds.SetFileSystem((uint)a.A0, own.IsSuperuser) };
        return own.FileSystemGid;
    }

    private static long Getgroups(GuestThread thread, in SystemCallArguments a)
    {
        uint[] groups = thread.Process.Credentials.Groups;
        if (a.Int0 < 0)
            return -EINVAL;
        if (a.Int0 == 0)
            return groups.Length;
        if (a.Int0 < groups.Length)
            return -EINVAL;
        return thread.Memory.TryWrite(new VirtualAddress(a.A1), MemoryMarshal.AsBytes<uint>(groups))
            ? groups.Length : -EFAULT;
    }

    private static long Setgroups(GuestThread thread, in SystemCallArguments a)
    {
        Credentials own = thread.Process.Credentials;
        if (!own.IsSuperuser)
            return -EPERM;
        if ((uint)a.A0 > NGROUPS_MAX)
            return -EINVAL;
        // Every process may keep a list of its own: the whole of what Linux allows would add up.
        if ((uint)a.A0 > MaximumGroups)
            return -ENOMEM;
        uint[] groups = new uint[(int)a.A0];
        if (!thread.Memory.TryRead(new VirtualAddress(a.A1), MemoryMarshal.AsBytes(groups.AsSpan())))
            return -EFAULT;
        Array.Sort(groups);
        thread.Process.Credentials = own with { Groups = groups };
        return 0;
    }

    /// <summary>How many __user_cap_data_structs a version has; 0 for an unknown one.</summary>
    private static int CapabilityWords(uint version) => version switch
    {
        _LINUX_CAPABILITY_VERSION_1 => 1,
        _LINUX_CAPABILITY_VERSION_2 or _LINUX_CAPABILITY_VERSION_3 => 2,
        _ => 0,
    };

    /// <summary>Reads the header; on an unknown version tells the guest the preferred one and answers -EINVAL.</summary>
    private static long ReadCapabilityHeader(
        GuestThread thread, ulong address, out __user_cap_header_struct header, out int words)
    {
        words = 0;
        if (!thread.Memory.TryRead(new VirtualAddress(address), out header))
            return -EFAULT;
        words = CapabilityWords(header.version);
        if (words > 0)
            return 0;
        return thread.Memory.TryWrite(new VirtualAddress(address), (uint)_LINUX_CAPABILITY_VERSION_3)
            ? -EINVAL : -EFAULT;
    }

    private static long Capget(GuestThread thread, in SystemCallArguments a)
    {
        long error = ReadCapabilityHeader(thread, a.A0, out __user_cap_header_struct header, out int words);
        if (error != 0)
            return error == -EINVAL && a.A1 == 0 ? 0 : error;
        if (header.pid < 0)
            return -EINVAL;
        Process? target = header.pid == 0 ? thread.Process
            : thread.Personality.FindThread(header.pid)?.Process ?? thread.Personality.FindProcess(header.pid);
        if (target is null)
            return -ESRCH;
        ulong capabilities = target.Credentials.IsSuperuser ? AllCapabilities : 0;
        Span<__user_cap_data_struct> data = stackalloc __user_cap_data_struct[2];
        for (int word = 0; word < 2; word++)
        {
            uint half = (uint)(capabilities >> word * 32);
            data[word] = new() { effective = half, permitted = half, inheritable = 0 };
        }
        return thread.Memory.TryWrite(new VirtualAddress(a.A1), MemoryMarshal.AsBytes(data[..words])) ? 0 : -EFAULT;
    }

    /// <summary>Capabilities follow the user id here; giving some up is accepted, gaining any is not.</summary>
    private static long Capset(GuestThread thread, in SystemCallArguments a)
    {
        long error = ReadCapabilityHeader(thread, a.A0, out __user_cap_header_struct header, out int words);
        if (error != 0)
            return error;
        if (header.pid != 0 && header.pid != thread.Tid)
            return -EPERM;
        Span<__user_cap_data_struct> data = stackalloc __user_cap_data_struct[2];
        data.Clear();
        if (!thread.Memory.TryRead(new VirtualAddress(a.A1), MemoryMarshal.AsBytes(data[..words])))
            return -EFAULT;
        if (thread.Process.Credentials.IsSuperuser)
            return 0;
        foreach (__user_cap_data_struct half in data)
        {
            if ((half.effective | half.permitted | half.inheritable) != 0)
                return -EPERM;
        }
        return 0;
    }
}
