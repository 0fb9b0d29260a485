using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// Extended attributes: no file of the guest has any, and no file system of the guest stores them (xattr(7)). The path
// or descriptor is checked as always, so a missing file is still told apart from a missing feature.
static partial class FileCalls
{
    private static void RegisterExtendedAttributes(SystemCallTable table)
    {
        table.Add(SYS_getxattr, "getxattr", RefuseByPath, "path str ptr size");
        table.Add(SYS_lgetxattr, "lgetxattr", RefuseByLink, "path str ptr size");
        table.Add(SYS_fgetxattr, "fgetxattr", RefuseByDescriptor, "fd str ptr size");
        table.Add(SYS_setxattr, "setxattr", RefuseByPath, "path str ptr size hex");
        table.Add(SYS_lsetxattr, "lsetxattr", RefuseByLink, "path str ptr size hex");
        table.Add(SYS_fsetxattr, "fsetxattr", RefuseByDescriptor, "fd str ptr size hex");
        table.Add(SYS_removexattr, "removexattr", RefuseByPath, "path str");
        table.Add(SYS_lremovexattr, "lremovexattr", RefuseByLink, "path str");
        table.Add(SYS_fremovexattr, "fremovexattr", RefuseByDescriptor, "fd str");
        table.Add(SYS_listxattr, "listxattr", ListByPath, "path ptr size");
        table.Add(SYS_llistxattr, "llistxattr", ListByLink, "path ptr size");
        table.Add(SYS_flistxattr, "flistxattr", ListByDescriptor, "fd ptr size");
    }

    private static long RefuseByPath(GuestThread thread, in SystemCallArguments a) =>
        Refuse(Find(thread, a.A0, 0));

    private static long RefuseByLink(GuestThread thread, in SystemCallArguments a) =>
        Refuse(Find(thread, a.A0, AT_SYMLINK_NOFOLLOW));

    private static long RefuseByDescriptor(GuestThread thread, in SystemCallArguments a) =>
        Refuse(Find(thread, a.Int0));

    private static long ListByPath(GuestThread thread, in SystemCallArguments a) => Find(thread, a.A0, 0);

    private static long ListByLink(GuestThread thread, in SystemCallArguments a) =>
        Find(thread, a.A0, AT_SYMLINK_NOFOLLOW);

    private static long ListByDescriptor(GuestThread thread, in SystemCallArguments a) => Find(thread, a.Int0);

    private static long Refuse(long found) => found < 0 ? found : -EOPNOTSUPP;

    private static long Find(GuestThread thread, ulong path, int flags)
    {
        long result = Located.ByPath(thread, AT_FDCWD, path, flags, out Located located);
        if (result == 0)
            located.Dispose();
        return result;
    }

    private static long Find(GuestThread thread, int descriptor)
    {
        long result = Located.ByDescriptor(thread, descriptor, allowPath: false, out Located located);
        if (result == 0)
            located.Dispose();
        return result;
    }
}
