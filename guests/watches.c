/* inotify: which events each change of files and directories tells, in which order, to whom. */
#include "check.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

static const struct { unsigned mask; const char *name; } names[] = {
    { IN_ACCESS, "ACCESS" }, { IN_MODIFY, "MODIFY" }, { IN_ATTRIB, "ATTRIB" }, { IN_CLOSE_WRITE, "CLOSE_WRITE" },
    { IN_CLOSE_NOWRITE, "CLOSE_NOWRITE" }, { IN_OPEN, "OPEN" }, { IN_MOVED_FROM, "MOVED_FROM" },
    { IN_MOVED_TO, "MOVED_TO" }, { IN_CREATE, "CREATE" }, { IN_DELETE, "DELETE" }, { IN_DELETE_SELF, "DELETE_SELF" },
    { IN_MOVE_SELF, "MOVE_SELF" }, { IN_Q_OVERFLOW, "Q_OVERFLOW" }, { IN_IGNORED, "IGNORED" }, { IN_ISDIR, "ISDIR" },
};

static int instance;
static unsigned first_cookie;

/* Prints and takes all events that wait; cookies as their distance from the first one seen. */
static void show(const char *what)
{
    _Alignas(struct inotify_event) char buffer[16384];
    say("%s:", what);
    for (;;) {
        ssize_t count = read(instance, buffer, sizeof buffer);
        if (count < 0 && errno == EAGAIN)
            return;
        NEED(count > 0);
        for (char *at = buffer; at < buffer + count;) {
            struct inotify_event *event = (struct inotify_event *)at;
            char text[256] = "";
            for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (event->mask & names[i].mask)
                    strcat(strcat(text, " "), names[i].name);
            if (event->cookie && !first_cookie)
                first_cookie = event->cookie;
            say("  %d%s%s%s len %u cookie %d", event->wd, text, event->len ? " " : "", event->len ? event->name : "",
                event->len, event->cookie ? (int)(event->cookie - first_cookie) + 1 : 0);
            at += sizeof *event + event->len;
        }
    }
}

static void put(const char *path, const char *text)
{
    int file = open(path, O_CREAT | O_WRONLY | O_APPEND, 0644);
    NEED(file >= 0);
    NEED(write(file, text, strlen(text)) == (ssize_t)strlen(text));
    close(file);
}

static void *write_later(void *path)
{
    usleep(50000);
    put(path, "later");
    return NULL;
}

static void bad_calls(void)
{
    CHECK_ERRNO("flags of inotify_init1", inotify_init1(1), EINVAL);
    CHECK_ERRNO("a mask without events or flags", inotify_add_watch(instance, "d", 0), EINVAL);
    CHECK_ERRNO("the mask before the descriptor", inotify_add_watch(-1, "d", 0), EINVAL);
    CHECK_ERRNO("no descriptor", inotify_add_watch(-1, "d", IN_OPEN), EBADF);
    CHECK_ERRNO("another descriptor", inotify_add_watch(1, "d", IN_OPEN), EINVAL);
    CHECK_ERRNO("no file", inotify_add_watch(instance, "none", IN_OPEN), ENOENT);
    CHECK_ERRNO("an empty path", inotify_add_watch(instance, "", IN_OPEN), ENOENT);
    CHECK_ERRNO("a bad path", inotify_add_watch(instance, (char *)8, IN_OPEN), EFAULT);
    CHECK_ERRNO("a file for IN_ONLYDIR", inotify_add_watch(instance, "f", IN_OPEN | IN_ONLYDIR), ENOTDIR);
    CHECK_ERRNO("IN_MASK_ADD with IN_MASK_CREATE",
        inotify_add_watch(instance, "d", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE), EINVAL);
    CHECK_ERRNO("a watch that is not there", inotify_rm_watch(instance, 77), EINVAL);
    CHECK_ERRNO("no descriptor to remove from", inotify_rm_watch(-1, 1), EBADF);
    CHECK_ERRNO("another descriptor to remove from", inotify_rm_watch(1, 1), EINVAL);
    CHECK_ERRNO("write", write(instance, "x", 1), EBADF);
    CHECK("lseek", lseek(instance, 5, SEEK_SET) == 0);
}

static void directories(void)
{
    int watch = inotify_add_watch(instance, "d", IN_ALL_EVENTS);
    CHECK("the first watch is 1", watch == 1);
    put("d/new", "text");
    show("a file made, written and closed");
    put("d/new", "");
    NEED(!truncate("d/new", 2));
    NEED(!chmod("d/new", 0600));
    NEED(!link("d/new", "d/more"));
    NEED(!symlink("new", "d/link"));
    NEED(!mkdir("d/sub", 0755));
    show("truncate, chmod, link, symlink, mkdir");
    NEED(!rename("d/new", "d/a name that is longer than one head"));
    NEED(!rename("d/more", "outside"));
    NEED(!rename("outside", "d/inside"));
    NEED(!rename("d/sub", "d/bus"));
    NEED(!rename("d/a name that is longer than one head", "d/link"));
    show("rename");
    NEED(!rmdir("d/bus"));
    NEED(!unlink("d/link"));
    NEED(!unlink("d/inside"));
    show("rmdir, unlink");
    struct timespec times[2] = { { 1, 0 }, { 0, UTIME_OMIT } };
    put("d/file", "contents");
    show("a file");
    NEED(!utimensat(AT_FDCWD, "d/file", times, 0));
    times[0].tv_nsec = UTIME_OMIT, times[1] = (struct timespec) { 1, 0 };
    NEED(!utimensat(AT_FDCWD, "d/file", times, 0));
    NEED(!utimensat(AT_FDCWD, "d/file", NULL, 0));
    int file = open("d/file", O_RDWR), path = open("d/file", O_PATH);
    char byte;
    NEED(file >= 0 && path >= 0 && read(file, &byte, 1) == 1 && pread(file, &byte, 1, 100) == 0);
    NEED(!fallocate(file, 0, 0, 100) && !ftruncate(file, 3) && sendfile(file, file, &(off_t) { 0 }, 1) == 1);
    close(path);
    close(file);
    show("times, reads, fallocate, ftruncate, sendfile");
    NEED(!unlink("d/file"));
    show("unlink");
    CHECK("an update keeps the number", inotify_add_watch(instance, "d", IN_CREATE) == watch);
    CHECK_ERRNO("IN_MASK_CREATE of a known file", inotify_add_watch(instance, "d", IN_CREATE | IN_MASK_CREATE), EEXIST);
    put("d/one", "");
    show("only IN_CREATE");
    CHECK("IN_MASK_ADD", inotify_add_watch(instance, "d", IN_DELETE | IN_MASK_ADD) == watch);
    NEED(!unlink("d/one"));
    put("d/two", "");
    show("IN_CREATE and IN_DELETE");
    NEED(!inotify_rm_watch(instance, watch));
    NEED(!unlink("d/two"));
    show("removed");
}

static void files(void)
{
    int watch = inotify_add_watch(instance, "f", IN_ALL_EVENTS);
    CHECK("numbers are not used again", watch == 2);
    put("f", "a");
    NEED(!link("f", "g"));
    NEED(!rename("f", "h"));
    NEED(!unlink("g"));
    show("a file itself");
    int file = open("h", O_RDONLY);
    NEED(file >= 0 && !unlink("h"));
    show("unlinked while open");
    close(file);
    show("closed");
    put("f", "");
    put("g", "");
    NEED(inotify_add_watch(instance, "g", IN_DELETE_SELF | IN_MOVE_SELF) == 3);
    NEED(!rename("f", "g"));
    show("replaced");
    NEED(!mkdir("e", 0755) && inotify_add_watch(instance, "e", IN_DELETE_SELF | IN_MOVE_SELF) == 4);
    NEED(!rename("e", "i") && !rmdir("i"));
    show("a directory itself");
    NEED(inotify_add_watch(instance, "g", IN_ATTRIB | IN_ONESHOT) == 5);
    NEED(!chmod("g", 0600) && !chmod("g", 0644));
    show("IN_ONESHOT");
    NEED(!symlink("g", "l") && inotify_add_watch(instance, "l", IN_ALL_EVENTS | IN_DONT_FOLLOW) == 6);
    put("l", "");
    NEED(!unlink("l"));
    show("a link itself");
    NEED(inotify_add_watch(instance, "d", IN_MODIFY) == 7);
    put("d/x", "");
    file = open("d/x", O_WRONLY);
    NEED(file >= 0 && !unlink("d/x") && write(file, "x", 1) == 1);
    show("an unlinked child");
    NEED(inotify_add_watch(instance, "d", IN_MODIFY | IN_EXCL_UNLINK) == 7);
    NEED(write(file, "x", 1) == 1);
    show("an unlinked child with IN_EXCL_UNLINK");
    close(file);
    NEED(!inotify_rm_watch(instance, 7));
    show("end");
}

static void reading(void)
{
    int watch = inotify_add_watch(instance, "d", IN_CREATE | IN_DELETE), bytes = -1;
    NEED(watch > 0);
    struct pollfd poll_for = { .fd = instance, .events = POLLIN };
    CHECK("nothing to poll", !poll(&poll_for, 1, 0));
    put("d/y", "");
    put("d/y", "");
    CHECK("events to poll", poll(&poll_for, 1, 0) == 1 && poll_for.revents == POLLIN);
    CHECK("FIONREAD", !ioctl(instance, FIONREAD, &bytes) && bytes == 32);
    char small[40];
    CHECK_ERRNO("no room for a name", read(instance, small, 31), EINVAL);
    NEED(!unlink("d/y"));
    CHECK("one whole event", read(instance, small, sizeof small) == 32);
    show("the other");
    /* A storm is cut short by one mark. */
    for (int i = 0; i < 20000; i++) {
        NEED(!symlink("x", "d/z"));
        NEED(!unlink("d/z"));
    }
    _Alignas(struct inotify_event) static char all[1 << 16];
    int overflows = 0, events = 0, last = 0;
    for (ssize_t count; (count = read(instance, all, sizeof all)) > 0;) {
        for (char *at = all; at < all + count; events++) {
            struct inotify_event *event = (struct inotify_event *)at;
            last = event->mask == IN_Q_OVERFLOW && event->wd == -1;
            overflows += last;
            at += sizeof *event + event->len;
        }
    }
    CHECK("one overflow, at the end", overflows == 1 && last && events > 1000);
    show("afterwards");
    NEED(!fcntl(instance, F_SETFL, 0));
    pthread_t thread;
    NEED(!pthread_create(&thread, NULL, write_later, "d/later"));
    CHECK("a read waits", read(instance, small, sizeof small) == 32);
    pthread_join(thread, NULL);
    NEED(!unlink("d/later"));
    CHECK("and again", read(instance, small, sizeof small) == 32);
}

int main(void)
{
    NEED(!mkdir("d", 0755));
    put("f", "");
    instance = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    NEED(instance >= 0);
    bad_calls();
    directories();
    files();
    reading();
    close(instance);
    unlink("g");
    rmdir("d");
    return finish();
}
