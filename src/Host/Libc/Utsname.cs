using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>Names of the system: struct new_utsname of linux/utsname.h; zero-ended.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct utsname
{
    public fixed byte sysname[65];
    public fixed byte nodename[65];
    public fixed byte release[65];
    public fixed byte version[65];
    public fixed byte machine[65];
    public fixed byte domainname[65];
}

/// <summary>State of the system, sizes in units of mem_unit bytes: linux/sysinfo.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct sysinfo
{
    public long uptime;
    public fixed ulong loads[3];
    public ulong totalram;
    public ulong freeram;
    public ulong sharedram;
    public ulong bufferram;
    public ulong totalswap;
    public ulong freeswap;
    public ushort procs;
    public ushort pad;
    public ulong totalhigh;
    public ulong freehigh;
    public uint mem_unit;
}

/// <summary>About the system: sys/utsname.h, sys/sysinfo.h.</summary>
public static unsafe partial class Libc
{
    [LibraryImport(Library, SetLastError = true)]
    public static partial int uname(utsname* buffer);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int sysinfo(sysinfo* info);
}
