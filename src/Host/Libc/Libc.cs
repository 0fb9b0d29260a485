using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>
/// The C library and the Linux user ABI of x86-64 under their native names, one file per header. Failing imports
/// leave the error number in <see cref="errno"/>. Structures have the kernel's layout, which is also the guest's.
/// </summary>
public static unsafe partial class Libc
{
    private const string Library = "libc";

    /// <summary>The error number that the last failing import on this thread left behind: errno(3).</summary>
    public static int errno => Marshal.GetLastPInvokeError();
}
