using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>Capability sets of capget(2): linux/capability.h, header.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct __user_cap_header_struct
{
    public uint version;
    public int pid;
}

/// <summary>Capability sets of capget(2): linux/capability.h, one 32-bit half.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct __user_cap_data_struct
{
    public uint effective;
    public uint permitted;
    public uint inheritable;
}

/// <summary>prctl(2).</summary>
public static unsafe partial class Libc
{
    [LibraryImport(Library, SetLastError = true)]
    public static partial int prctl(int option, nuint arg2, nuint arg3, nuint arg4, nuint arg5);
}
