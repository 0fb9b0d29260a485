using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>What a spawned child does to its descriptors: spawn.h. Opaque; 80 bytes in glibc on x86-64.</summary>
[StructLayout(LayoutKind.Sequential, Size = 80)]
public struct posix_spawn_file_actions_t
{
    private readonly ulong _alignment;
}

/// <summary>Attributes of a spawned child: spawn.h. Opaque; 336 bytes in glibc on x86-64.</summary>
[StructLayout(LayoutKind.Sequential, Size = 336)]
public struct posix_spawnattr_t
{
    private readonly ulong _alignment;
}

/// <summary>The C library's signal set, 1,024 bits: bits/types/__sigset_t.h. Bit n-1 is signal n.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct sigset_t
{
    public fixed ulong __val[16];
}

/// <summary>Processes: spawn.h, sys/wait.h, unistd.h.</summary>
public static unsafe partial class Libc
{
    /// <summary>Starts a program. Answers an error number, not -1; errno is untouched.</summary>
    [LibraryImport(Library)]
    public static partial int posix_spawn(
        int* pid, byte* path, posix_spawn_file_actions_t* actions, posix_spawnattr_t* attributes,
        byte** argv, byte** envp);

    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_init(posix_spawn_file_actions_t* actions);

    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t* actions);

    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_adddup2(
        posix_spawn_file_actions_t* actions, int fd, int newFd);

    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_addclose(posix_spawn_file_actions_t* actions, int fd);

    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_addopen(
        posix_spawn_file_actions_t* actions, int fd, byte* path, int flags, uint mode);

    /// <summary>Closes every descriptor from <paramref name="from"/> on in the child: glibc 2.34.</summary>
    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_addclosefrom_np(
        posix_spawn_file_actions_t* actions, int from);

    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t* actions, int fd);

    [LibraryImport(Library)]
    public static partial int posix_spawnattr_init(posix_spawnattr_t* attributes);

    [LibraryImport(Library)]
    public static partial int posix_spawnattr_destroy(posix_spawnattr_t* attributes);

    [LibraryImport(Library)]
    public static partial int posix_spawnattr_setflags(posix_spawnattr_t* attributes, short flags);

    [LibraryImport(Library)]
    public static partial int posix_spawnattr_setpgroup(posix_spawnattr_t* attributes, int pgroup);

    [LibraryImport(Library)]
    public static partial int posix_spawnattr_setsigmask(posix_spawnattr_t* attributes, sigset_t* mask);

    [LibraryImport(Library)]
    public static partial int posix_spawnattr_setsigdefault(posix_spawnattr_t* attributes, sigset_t* signals);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int waitpid(int pid, int* status, int options);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int wait4(int pid, int* status, int options, rusage* usage);

    public static int waitid(int type, int id, siginfo_t* info, int options, rusage* usage) =>
        (int)syscall(SYS_waitid, type, id, (nint)info, options, (nint)usage);

    public static int pidfd_open(int pid, uint flags) => (int)syscall(SYS_pidfd_open, pid, (nint)flags);

    public static int pidfd_send_signal(int pidfd, int signal) =>
        (int)syscall(SYS_pidfd_send_signal, pidfd, signal, 0, 0);

    [LibraryImport(Library)]
    public static partial int getpid();

    [LibraryImport(Library)]
    public static partial int getppid();

    public static int gettid() => (int)syscall(SYS_gettid);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int getpgid(int pid);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int setpgid(int pid, int pgid);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int getsid(int pid);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int setsid();

    /// <summary>True when a wait status tells of an exit: wait(2).</summary>
    public static bool WIFEXITED(int status) => (status & 0x7f) == 0;

    public static int WEXITSTATUS(int status) => (status >> 8) & 0xff;

    /// <summary>True when a wait status tells of death by a signal.</summary>
    public static bool WIFSIGNALED(int status) => (sbyte)((status & 0x7f) + 1) >> 1 > 0;

    public static int WTERMSIG(int status) => status & 0x7f;

    public static bool WIFSTOPPED(int status) => (status & 0xff) == 0x7f;

    public static int WSTOPSIG(int status) => (status >> 8) & 0xff;
}
