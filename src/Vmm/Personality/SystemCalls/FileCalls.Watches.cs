using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// Watching files for changes: inotify(7).
static partial class FileCalls
{
    private static void RegisterWatches(SystemCallTable table)
    {
        table.Add(SYS_inotify_init, "inotify_init", InotifyInit, "");
        table.Add(SYS_inotify_init1, "inotify_init1", InotifyInit1, "flags:IN_INIT");
        table.Add(SYS_inotify_add_watch, "inotify_add_watch", InotifyAddWatch, "fd path flags:IN");
        table.Add(SYS_inotify_rm_watch, "inotify_rm_watch", InotifyRemoveWatch, "fd int");
    }

    private static long InotifyInit(GuestThread thread, in SystemCallArguments a) => InotifyInit(thread, 0);

    private static long InotifyInit1(GuestThread thread, in SystemCallArguments a) => InotifyInit(thread, a.Int0);

    private static long InotifyInit(GuestThread thread, int flags)
    {
        if ((flags & ~(IN_CLOEXEC | IN_NONBLOCK)) != 0)
            return -EINVAL;
        KernelMemory memory = thread.Personality.KernelMemory;
        if (!memory.TryReserve(KernelMemory.ObjectCost))
            return -EMFILE;
        AnonymousInode inode = thread.Personality.CreateInode(thread, AnonymousDevices.Anonymous);
        InotifyFile file = new(memory, inode, thread.Personality.Files.Watches, flags);
        return InputOutputCalls.Install(thread, file, (flags & IN_CLOEXEC) != 0);
    }

    private static long InotifyAddWatch(GuestThread thread, in SystemCallArguments a)
    {
        const uint Meaningful = IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR | IN_DONT_FOLLOW
            | IN_EXCL_UNLINK | IN_MASK_ADD | IN_MASK_CREATE | IN_ISDIR | IN_ONESHOT;
        uint mask = (uint)a.A2;
        if ((mask & Meaningful) == 0)
            return -EINVAL;
        long result = AcquireInotify(thread, a.Int0, out InotifyFile? instance);
        if (result < 0)
            return result;
        result = (mask & (IN_MASK_ADD | IN_MASK_CREATE)) == (IN_MASK_ADD | IN_MASK_CREATE)
            ? -EINVAL
            : AddWatch(thread, instance!, a.A1, mask);
        instance!.Release();
        return result;
    }

    private static long AddWatch(GuestThread thread, InotifyFile instance, ulong path, uint mask)
    {
        int flags = (mask & IN_DONT_FOLLOW) != 0 ? AT_SYMLINK_NOFOLLOW : 0;
        long result = Located.ByPath(thread, AT_FDCWD, path, flags, out Located located);
        if (result < 0)
            return result;
        Dentry target = located.Dentry!;
        if ((mask & IN_ONLYDIR) != 0 && !target.Inode.IsDirectory)
            return -ENOTDIR;
        result = VirtualFileSystem.CheckAccess(Caller.Of(thread), target, R_OK);
        return result < 0 ? result : instance.Tree.Add(instance, target, mask);
    }

    private static long InotifyRemoveWatch(GuestThread thread, in SystemCallArguments a)
    {
        long result = AcquireInotify(thread, a.Int0, out InotifyFile? instance);
        if (result < 0)
            return result;
        result = instance!.Tree.Remove(instance, a.Int1);
        instance.Release();
        return result;
    }

    private static long AcquireInotify(GuestThread thread, int descriptor, out InotifyFile? instance)
    {
        OpenFile? file = InputOutputCalls.AcquireAny(thread, descriptor);
        instance = file as InotifyFile;
        if (file is null)
            return -EBADF;
        if (instance is not null)
            return 0;
        file.Release();
        return -EINVAL;
    }
}
