/*
 * Walks a directory that somebody else keeps changing, and reports whether it ever got out of it: reads every path
 * given below the directory (first argument) for some seconds (second), by open, by openat through directory
 * descriptors, through ".." and by creating, renaming and linking. A file outside holds the word CANARY.
 */
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

static long escapes, looked, opened, made;

static void examine(int file)
{
    char text[64] = "";
    if (file < 0)
        return;
    opened++;
    ssize_t got = read(file, text, sizeof text - 1);
    if (got > 0 && strstr(text, "CANARY"))
        escapes++;
    close(file);
}

int main(int argc, char **argv)
{
    static const char *const paths[] = { "a/b/c/secret", "a/b/secret", "link/secret", "a/link/secret", "link",
        "a/b/c/../../../../secret", "a/b/../../../outside/secret", "a/b/c/../../../../../outside/secret",
        "swap/secret", "swap/b/secret", "a/swap/secret", "file", "a/file", "deep/x/y/z/../../../../../outside/secret" };
    NEED(argc == 3 && !chdir(argv[1]));
    time_t end = time(NULL) + atoi(argv[2]);
    int root = open(".", O_RDONLY | O_DIRECTORY);
    char path[300];
    while (time(NULL) < end) {
        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
            looked++;
            examine(open(paths[i], O_RDONLY));
            examine(openat(root, paths[i], O_RDONLY));
        }
        int directory = open("a/b", O_RDONLY | O_DIRECTORY);
        if (directory >= 0) {
            examine(openat(directory, "../../../outside/secret", O_RDONLY));
            examine(openat(directory, "../../secret", O_RDONLY));
            examine(openat(directory, "c/../../../../outside/secret", O_RDONLY));
            snprintf(path, sizeof path, "/proc/self/fd/%d/../../../outside/secret", directory);
            examine(open(path, O_RDONLY));
            DIR *listing = fdopendir(directory);
            for (struct dirent *entry; listing && (entry = readdir(listing));) {
                snprintf(path, sizeof path, "a/b/%s", entry->d_name);
                examine(open(path, O_RDONLY | O_NONBLOCK));
            }
            if (listing)
                closedir(listing);
        }
        if (!chdir("a/b/c")) {
            examine(open("../../../../outside/secret", O_RDONLY));
            examine(open("../../../secret", O_RDONLY));
            NEED(!fchdir(root));
        }
        /* Where creating is allowed, nothing may appear outside: the test looks for this name there. */
        int file = open("a/b/escaped", O_CREAT | O_WRONLY, 0600);
        if (file >= 0) {
            made++;
            close(file);
        }
        mkdir("swap/escaped-directory", 0700);
        rename("a/b/escaped", "swap/escaped");
        symlink("/outside", "swap/escaped-link");
        link("a/b/escaped", "link/escaped");
        unlink("swap/escaped");
        unlink("swap/escaped-link");
        rmdir("swap/escaped-directory");
        truncate("link/secret", 0);
        chmod("swap/secret", 0777);
    }
    dprintf(2, "looked %ld, opened %ld, made %ld\n", looked, opened, made);
    CHECK("looked around", looked > 100);
    CHECK("never got out", escapes == 0);
    return finish();
}
