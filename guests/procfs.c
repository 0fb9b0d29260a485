/* /proc and /dev as programs read them: shapes and agreements, never values that belong to one machine. */
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static char text[1 << 20];

static const char *slurp(const char *path)
{
    size_t length = 0;
    ssize_t got;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    text[0] = 0;
    if (file < 0)
        return text;
    while ((got = read(file, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    close(file);
    text[length] = 0;
    return text;
}

static long field(const char *content, const char *name)
{
    const char *found = strstr(content, name);
    return found ? strtol(found + strlen(name), NULL, 10) : -1;
}

static int reaches(const char *link, const char *expected)
{
    char target[4096];
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0)
        return 0;
    target[length] = 0;
    return !strcmp(target, expected);
}

static void self(char **argv)
{
    char path[64], other[4096];
    snprintf(path, sizeof path, "%d", getpid());
    CHECK("/proc/self", reaches("/proc/self", path));
    ssize_t length = readlink("/proc/self/exe", other, sizeof other - 1);
    NEED(length > 0);
    other[length] = 0;
    struct stat mine, named;
    CHECK("exe names this program", !strcmp(strrchr(other, '/') + 1, strrchr(argv[0], '/') + 1));
    CHECK("exe opens this program", !stat("/proc/self/exe", &mine) && !stat(argv[0], &named)
        && mine.st_ino == named.st_ino && mine.st_dev == named.st_dev);
    slurp("/proc/self/cmdline");
    CHECK("cmdline", !strcmp(text, argv[0]) && !strcmp(text + strlen(argv[0]) + 1, "one")
        && !strcmp(text + strlen(argv[0]) + 5, "two words"));
    NEED(getcwd(other, sizeof other));
    CHECK("cwd", reaches("/proc/self/cwd", other));
    CHECK("root", reaches("/proc/self/root", "/"));
    prctl(PR_SET_NAME, "a name");
    CHECK("comm", !strcmp(slurp("/proc/self/comm"), "a name\n"));
    slurp("/proc/self/stat");
    const char *after = strrchr(text, ')');
    int process = 0, parent = 0, group = 0, session = 0;
    char state = 0;
    CHECK("stat", after && sscanf(text, "%d (a name)", &process) == 1 && process == getpid()
        && sscanf(after, ") %c %d %d %d", &state, &parent, &group, &session) == 4 && state == 'R'
        && parent == getppid() && group == getpgrp() && session == getsid(0));
    int fields = 0;
    for (const char *at = after; *at; at++)
        fields += *at == ' ';
    CHECK("stat has 52 fields", fields == 50);
    slurp("/proc/self/status");
    CHECK("status", field(text, "\nPid:") == getpid() && field(text, "\nPPid:") == getppid()
        && field(text, "\nTgid:") == getpid() && field(text, "\nUid:") == (long)getuid()
        && field(text, "\nThreads:") == 1 && field(text, "\nVmRSS:") > 0 && strstr(text, "Name:\ta name\n"));
    long pages[3] = { 0 };
    CHECK("statm", sscanf(slurp("/proc/self/statm"), "%ld %ld %ld", &pages[0], &pages[1], &pages[2]) == 3
        && pages[0] >= pages[1] && pages[1] > 0);
    CHECK("environ", strstr(slurp("/proc/self/environ"), "=") != NULL);
    CHECK("limits", strstr(slurp("/proc/self/limits"), "Max open files"));
    CHECK("mountinfo has a root", strstr(slurp("/proc/self/mountinfo"), " / / ") || strstr(text, " / "));
    CHECK("mounts", strstr(slurp("/proc/mounts"), " /proc proc ") && strstr(slurp("/proc/self/mounts"), " /proc proc "));
    CHECK("oom_score_adj", slurp("/proc/self/oom_score_adj")[0] != 0);
    CHECK("cgroup", strchr(slurp("/proc/self/cgroup"), ':'));
    CHECK("auxv", open("/proc/self/auxv", O_RDONLY) >= 0);
}

static void maps(void)
{
    char *area = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(area != MAP_FAILED && !mprotect(area + 4096, 4096, PROT_NONE));
    slurp("/proc/self/maps");
    unsigned long from, to, offset, last = 0, covered = 0;
    char modes[8], name[4096];
    int sorted = 1, stack = 0, program = 0, guarded = 0, vdso = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        name[0] = 0;
        unsigned major_number, minor_number;
        unsigned long inode;
        if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %4095s", &from, &to, modes, &offset, &major_number, &minor_number,
                &inode, name) < 7) {
            sorted = 0;
            break;
        }
        sorted &= from >= last && to > from;
        last = to;
        covered += to - from;
        stack += !strcmp(name, "[stack]") && (uintptr_t)&from >= from && (uintptr_t)&from < to && !strcmp(modes, "rw-p");
        vdso += !strcmp(name, "[vdso]");
        program += (uintptr_t)maps >= from && (uintptr_t)maps < to && !strcmp(modes, "r-xp") && inode != 0;
        guarded += from == (uintptr_t)area + 4096 && to == from + 4096 && !strcmp(modes, "---p");
    }
    CHECK("maps is sorted", sorted && covered > 0);
    CHECK("maps shows the stack", stack == 1);
    CHECK("maps shows the program", program == 1);
    CHECK("maps shows a protection", guarded == 1);
    CHECK("maps shows the vDSO", vdso == 1);
    CHECK("smaps", slurp("/proc/self/smaps")[0] == 0 || strstr(text, "Rss:"));
}

static void descriptors(void)
{
    int null = open("/dev/null", O_RDWR), copy = fcntl(null, F_DUPFD, 40), found = 0, others = 0;
    CHECK("fd link", reaches("/proc/self/fd/40", "/dev/null") && copy == 40);
    int ends[2];
    NEED(!pipe(ends));
    char path[64], target[4096] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
    CHECK("pipe link", readlink(path, target, sizeof target - 1) > 0 && !strncmp(target, "pipe:[", 6));
    DIR *directory = opendir("/proc/self/fd");
    NEED(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        found += !strcmp(entry->d_name, "40");
        others += !strcmp(entry->d_name, "39");
    }
    closedir(directory);
    CHECK("fd lists them", found == 1 && others == 0);
    NEED(write(ends[1], "via", 3) == 3);
    int again = open(path, O_RDONLY);
    CHECK("a pipe opens through its link", again >= 0 && read(again, target, 3) == 3 && !memcmp(target, "via", 3));
    CHECK("/dev/fd", reaches("/dev/fd", "/proc/self/fd") && reaches("/dev/stdin", "/proc/self/fd/0"));
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", ends[0]);
    CHECK("fdinfo", strstr(slurp(path), "flags:"));
    /* In memory: a file deleted from a mounted folder has no name to open it by (README, known differences). */
    int file = open("/tmp/reopened", O_CREAT | O_RDWR | O_TRUNC, 0600);
    NEED(file >= 0 && write(file, "still here", 10) == 10 && !unlink("/tmp/reopened"));
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    CHECK("a deleted file opens through its link", !strcmp(slurp(path), "still here"));
    CHECK("its link says so", readlink(path, target, sizeof target - 1) > 0 && strstr(target, "(deleted)"));
}

static void machine(void)
{
    struct utsname name;
    CHECK("uname", !uname(&name) && !strcmp(name.sysname, "Linux") && !strcmp(name.machine, "x86_64"));
    char host[256] = "";
    CHECK("gethostname", !gethostname(host, sizeof host) && !strcmp(host, name.nodename));
    slurp("/proc/sys/kernel/hostname");
    CHECK("hostname file", !strncmp(text, host, strlen(host)) && text[strlen(host)] == '\n');
    CHECK("osrelease file", !strncmp(slurp("/proc/sys/kernel/osrelease"), name.release, strlen(name.release)));
    struct sysinfo information;
    NEED(!sysinfo(&information));
    long total = field(slurp("/proc/meminfo"), "MemTotal:"), left = field(text, "MemAvailable:");
    CHECK("meminfo", total > 0 && left > 0 && left <= total);
    CHECK("sysinfo agrees", (long)(information.totalram * information.mem_unit / 1024) == total);
    long processors = 0;
    slurp("/proc/cpuinfo");
    for (const char *at = text; (at = strstr(at, "processor\t:")); at++)
        processors++;
    CHECK("cpuinfo agrees with sysconf", processors == sysconf(_SC_NPROCESSORS_ONLN));
    CHECK("cpuinfo has flags", strstr(text, "flags\t\t:") && strstr(text, "sse2") && strstr(text, "MHz"));
    CHECK("stat", !strncmp(slurp("/proc/stat"), "cpu ", 4) && field(text, "btime ") > 1500000000);
    double up = 0;
    CHECK("uptime", sscanf(slurp("/proc/uptime"), "%lf", &up) == 1 && up >= 0);
    CHECK("loadavg", strchr(slurp("/proc/loadavg"), '.'));
    CHECK("version", !strncmp(slurp("/proc/version"), "Linux version ", 14));
    CHECK("filesystems", strstr(slurp("/proc/filesystems"), "proc"));
    CHECK("pid_max", atol(slurp("/proc/sys/kernel/pid_max")) >= 1000);
    CHECK("overcommit", slurp("/proc/sys/vm/overcommit_memory")[0] >= '0');
    CHECK_ERRNO("no such process", open("/proc/4194301/stat", O_RDONLY), ENOENT);
    CHECK_ERRNO("nothing is created in /proc", open("/proc/new", O_CREAT | O_WRONLY, 0600), ENOENT);
    pid_t child = fork();
    if (!child) {
        for (;;)
            pause();
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", child);
    CHECK("a child is listed", field(slurp(path), "\nPPid:") == getpid());
    kill(child, 9);
    waitpid(child, NULL, 0);
    CHECK_ERRNO("and gone when reaped", open(path, O_RDONLY), ENOENT);
}

static void devices(void)
{
    char bytes[64];
    memset(bytes, 'x', sizeof bytes);
    struct stat status;
    int zero = open("/dev/zero", O_RDWR), full = open("/dev/full", O_RDWR), null = open("/dev/null", O_RDWR);
    CHECK("/dev/zero", read(zero, bytes, 64) == 64 && bytes[0] == 0 && bytes[63] == 0 && write(zero, bytes, 9) == 9);
    CHECK_ERRNO("/dev/full", write(full, bytes, 1), ENOSPC);
    CHECK("/dev/full reads zeroes", read(full, bytes, 4) == 4);
    CHECK("/dev/null", read(null, bytes, 4) == 0 && write(null, bytes, 4) == 4);
    CHECK("/dev/null is 1:3", !fstat(null, &status) && S_ISCHR(status.st_mode)
        && status.st_rdev == makedev(1, 3));
    char *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    CHECK("/dev/zero maps", mapped != MAP_FAILED && mapped[100] == 0);
    CHECK("/dev/shm", !stat("/dev/shm", &status) && S_ISDIR(status.st_mode) && (status.st_mode & 07777) == 01777);
    /* Run natively, it is not alone. */
    char name[32];
    snprintf(name, sizeof name, "/e2e-procfs-%d", getpid());
    int shared = shm_open(name, O_CREAT | O_RDWR | O_EXCL, 0600);
    CHECK("shm_open", shared >= 0 && !ftruncate(shared, 100) && !shm_unlink(name));
    CHECK("/tmp is sticky", !stat("/tmp", &status) && (status.st_mode & 07777) == 01777);
}

int main(int argc, char **argv)
{
    NEED(argc == 3);
    self(argv);
    maps();
    descriptors();
    machine();
    devices();
    return finish();
}
