using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>A user of this host: struct passwd of pwd.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct passwd
{
    public byte* pw_name;
    public byte* pw_passwd;
    public uint pw_uid;
    public uint pw_gid;
    public byte* pw_gecos;
    public byte* pw_dir;
    public byte* pw_shell;
}

/// <summary>The host's users: pwd.h.</summary>
public static unsafe partial class Libc
{
    /// <summary>Null for no such user. The next call by any thread overwrites the answer.</summary>
    [LibraryImport(Library, SetLastError = true)]
    public static partial passwd* getpwnam(byte* name);

    /// <inheritdoc cref="getpwnam"/>
    [LibraryImport(Library, SetLastError = true)]
    public static partial passwd* getpwuid(uint user);
}
