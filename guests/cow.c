/*
 * Copy-on-write after fork, both ways, when the write comes from the program and when it comes from a system call:
 * a kernel that copies a page must also make the process that asked for it see the copy, even where the CPU still
 * holds the old translation.
 */
#include "check.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { Page = 4096, Pages = 600 };

static char data[Pages * Page] __attribute__((aligned(4096)));
static int to_child[2], to_parent[2];

static void tell(int end) { NEED(write(end, "!", 1) == 1); }
static void listen_to(int end) { char byte; NEED(read(end, &byte, 1) == 1); }

static int all(char value)
{
    for (int i = 0; i < Pages; i++)
        if (data[i * Page] != value || data[i * Page + Page - 1] != value)
            return 0;
    return 1;
}

static void fill(char value) { memset(data, value, sizeof data); }

/* Reads count bytes of value into the page with read(2), through a fresh pipe. */
static void receive(char *where, char value, size_t count)
{
    int ends[2];
    char block[Page];
    memset(block, value, sizeof block);
    NEED(!pipe(ends) && write(ends[1], block, count) == (ssize_t)count);
    NEED(read(ends[0], where, count) == (ssize_t)count);
    close(ends[0]);
    close(ends[1]);
}

static int finish_child(pid_t child)
{
    int status = -1;
    NEED(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void by_program(void)
{
    fill('a');
    pid_t child = fork();
    if (!child) {
        int good = all('a');
        fill('c');
        good &= all('c');
        tell(to_parent[1]);
        listen_to(to_child[0]);
        good &= all('c');
        _exit(!good);
    }
    listen_to(to_parent[0]);
    CHECK("child's writes stay in the child", all('a'));
    fill('p');
    tell(to_child[1]);
    CHECK("parent's writes stay in the parent", finish_child(child) && all('p'));
}

static void by_parent_first(void)
{
    fill('a');
    pid_t child = fork();
    if (!child) {
        listen_to(to_child[0]);
        _exit(!all('a'));
    }
    fill('b');
    int good = all('b');
    tell(to_child[1]);
    CHECK("parent writes first", good && finish_child(child) && all('b'));
}

static void by_system_call(void)
{
    fill('a');
    volatile char *page = data + 3 * Page;
    pid_t child = fork();
    if (!child) {
        int good = page[0] == 'a'; /* the translation is now in use, read-only */
        receive((char *)page, 'k', Page);
        good &= page[0] == 'k' && page[Page - 1] == 'k';
        tell(to_parent[1]);
        listen_to(to_child[0]);
        good &= page[0] == 'k';
        page[1] = 'l';
        good &= page[1] == 'l' && page[2] == 'k';
        _exit(!good);
    }
    int good = page[0] == 'a';
    listen_to(to_parent[0]);
    good &= page[0] == 'a';
    receive((char *)page + 10, 'm', 100);
    good &= page[9] == 'a' && page[10] == 'm' && page[109] == 'm' && page[110] == 'a';
    tell(to_child[1]);
    CHECK("read(2) into a page shared by fork", finish_child(child) && good && page[1] == 'a');

    struct iovec local = { "via process_vm_writev", 21 }, remote = { data + 5 * Page, 21 };
    child = fork();
    if (!child) {
        listen_to(to_child[0]);
        int right = !memcmp(data + 5 * Page, "via process_vm_writev", 21);
        _exit(!right);
    }
    ssize_t written = process_vm_writev(child, &local, 1, &remote, 1, 0);
    tell(to_child[1]);
    int arrived = finish_child(child);
    CHECK("a write into another process copies too", data[5 * Page] == 'a' && (written == -1 || arrived));
}

static int chain(int depth)
{
    if (depth == 0)
        return data[7 * Page] == 'a' + 6;
    pid_t child = fork();
    if (!child) {
        data[7 * Page]++;
        _exit(!chain(depth - 1));
    }
    int good = finish_child(child);
    return good && data[7 * Page] == (char)('a' + 6 - depth);
}

static void many_generations(void)
{
    fill('a');
    CHECK("six generations", chain(6) && data[7 * Page] == 'a');
    pid_t children[8];
    for (int i = 0; i < 8; i++) {
        children[i] = fork();
        if (!children[i]) {
            fill((char)('A' + i));
            listen_to(to_child[0]);
            _exit(!all((char)('A' + i)));
        }
    }
    int good = 1;
    for (int i = 0; i < 8; i++)
        tell(to_child[1]);
    for (int i = 0; i < 8; i++)
        good &= finish_child(children[i]);
    CHECK("eight children at once", good && all('a'));
}

static void last_owner(void)
{
    fill('a');
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (!child)
            _exit(0);
        NEED(finish_child(child));
        data[i * Page] = 'z'; /* nobody shares it any more */
    }
    int good = 1;
    for (int i = 0; i < 20; i++)
        good &= data[i * Page] == 'z' && data[i * Page + 1] == 'a';
    CHECK("pages return to their last owner", good);
}

static void protections(void)
{
    fill('a');
    NEED(!mprotect(data + 9 * Page, Page, PROT_READ));
    pid_t child = fork();
    if (!child) {
        NEED(!mprotect(data + 9 * Page, Page, PROT_READ | PROT_WRITE));
        data[9 * Page] = 'c';
        _exit(data[9 * Page] != 'c');
    }
    CHECK("a page made writable after fork is still copied", finish_child(child) && data[9 * Page] == 'a');
    child = fork();
    if (!child) {
        data[9 * Page] = 'x';
        _exit(0);
    }
    int status = 0;
    CHECK("and read-only stays read-only", waitpid(child, &status, 0) == child && WIFSIGNALED(status)
        && WTERMSIG(status) == SIGSEGV);
    NEED(!mprotect(data + 9 * Page, Page, PROT_READ | PROT_WRITE));
    char *gone = mmap(NULL, Page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(gone != MAP_FAILED);
    gone[0] = 'g';
    NEED(!madvise(gone, Page, MADV_DONTFORK));
    child = fork();
    if (!child) {
        gone[0] = 'h';
        _exit(0);
    }
    CHECK("MADV_DONTFORK", waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV
        && gone[0] == 'g');
}

int main(void)
{
    NEED(!pipe(to_child) && !pipe(to_parent));
    by_program();
    by_parent_first();
    by_system_call();
    many_generations();
    last_owner();
    protections();
    return finish();
}
