/* Memory: reservations, protection changes, fixed and shared mappings, growth, files, and what follows a fork. */
#include "check.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { Page = 4096 };

static sigjmp_buf back;
static volatile int number, code;
static void *volatile address;

static void caught(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    number = signal_number;
    code = info->si_code;
    address = info->si_addr;
    siglongjmp(back, 1);
}

static int reads(const void *where)
{
    if (sigsetjmp(back, 1))
        return 0;
    (void)*(const volatile char *)where;
    return 1;
}

static int writes(void *where, char value)
{
    if (sigsetjmp(back, 1))
        return 0;
    *(volatile char *)where = value;
    return 1;
}

static char *map(size_t length, int protection, int flags, int file, off_t offset)
{
    return mmap(NULL, length, protection, flags, file, offset);
}

static char *private_pages(int count)
{
    char *pages = map((size_t)count * Page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(pages != MAP_FAILED);
    return pages;
}

static int in_child(int (*test)(char *), char *argument)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (!child)
        _exit(test(argument) ? 0 : 1);
    int status = -1;
    NEED(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void reservations(void)
{
    size_t size = 47UL << 30;
    char *reserved = map(size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK("47 GiB reservation", reserved != MAP_FAILED);
    CHECK("reserved memory faults", !reads(reserved + size / 2) && code == SEGV_ACCERR);
    int good = 0;
    for (int i = 0; i < 40; i++) {
        char *part = reserved + ((size_t)i << 30);
        good += !mprotect(part, 1 << 16, PROT_READ | PROT_WRITE) && writes(part + 5 * Page, (char)i)
            && part[5 * Page] == (char)i && part[0] == 0;
    }
    CHECK("islands in it", good == 40);
    CHECK("sea around them", !reads(reserved + (1 << 16)) && !reads(reserved + (1UL << 30) - 1));
    good = 0;
    for (int i = 0; i < 40; i++)
        good += reserved[((size_t)i << 30) + 5 * Page] == (char)i;
    CHECK("islands keep their content", good == 40);
    CHECK("unmapped", !munmap(reserved, size) && !reads(reserved) && code == SEGV_MAPERR);
    CHECK_ERRNO("more than the address space", map(1UL << 48, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
    CHECK_ERRNO("nothing", map(0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_ERRNO("neither shared nor private", map(Page, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_ERRNO("bad file", map(Page, PROT_READ, MAP_PRIVATE, 900, 0), EBADF);
    CHECK_ERRNO("misaligned offset", map(Page, PROT_READ, MAP_PRIVATE, 0, 100), EINVAL);
    CHECK_ERRNO("misaligned munmap", munmap((char *)1, Page), EINVAL);
    CHECK("munmap of nothing", !munmap((void *)0x10000000, Page));
}

static void protection(void)
{
    char *pages = private_pages(8);
    memset(pages, 'a', 8 * Page);
    NEED(!mprotect(pages, 8 * Page, PROT_READ));
    CHECK("RW to R: readable", reads(pages + 100) && pages[100] == 'a');
    CHECK("RW to R: not writable", !writes(pages + 100, 'b') && code == SEGV_ACCERR && address == pages + 100);
    NEED(!mprotect(pages, 8 * Page, PROT_READ | PROT_WRITE));
    CHECK("R to RW: writable", writes(pages + 100, 'b') && pages[100] == 'b');
    int right = 0;
    for (int i = 0; i < 100; i++) {
        NEED(!mprotect(pages + 2 * Page, Page, i & 1 ? PROT_READ | PROT_WRITE : PROT_READ));
        right += writes(pages + 2 * Page + i, (char)i) == (i & 1);
    }
    CHECK("100 changes", right == 100);
    NEED(!mprotect(pages + 3 * Page, Page, PROT_NONE));
    CHECK("hole in the middle", reads(pages + 3 * Page - 1) && !reads(pages + 3 * Page) && reads(pages + 4 * Page));
    NEED(!mprotect(pages, 8 * Page, PROT_READ | PROT_WRITE));
    CHECK("one call over three areas", writes(pages + 3 * Page, 'c') && pages[3 * Page + 1] == 'a');
    NEED(!munmap(pages + 5 * Page, Page));
    CHECK_ERRNO("mprotect over a gap", mprotect(pages, 8 * Page, PROT_READ), ENOMEM);
    CHECK_ERRNO("mprotect misaligned", mprotect(pages + 1, Page, PROT_READ), EINVAL);
    CHECK("unmapped in the middle", !reads(pages + 5 * Page) && code == SEGV_MAPERR && reads(pages + 6 * Page));

    /* mov eax, imm32; ret */
    unsigned char *text = (unsigned char *)private_pages(1);
    memcpy(text, "\xb8\x2a\x00\x00\x00\xc3", 6);
    NEED(!mprotect(text, Page, PROT_READ | PROT_EXEC));
    int (*function)(void) = (int (*)(void))(uintptr_t)text;
    CHECK("written code runs", function() == 42);
    NEED(!mprotect(text, Page, PROT_READ | PROT_WRITE));
    text[1] = 43;
    NEED(!mprotect(text, Page, PROT_READ | PROT_EXEC));
    CHECK("rewritten code runs", function() == 43);
    text = (unsigned char *)map(Page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(text != MAP_FAILED);
    memcpy(text, "\xb8\x01\x00\x00\x00\xc3", 6);
    function = (int (*)(void))(uintptr_t)text;
    int sum = 0;
    for (int i = 0; i < 50; i++) {
        text[1] = (unsigned char)i;
        sum += function();
    }
    CHECK("self-modifying code", sum == 1225);
    CHECK_ERRNO("read(2) into a read-only page", read(open("/dev/zero", O_RDONLY),
        (char *)(uintptr_t)private_pages, 1), EFAULT);
}

static void placing(void)
{
    char *pages = private_pages(4);
    memset(pages, 'x', 4 * Page);
    CHECK("MAP_FIXED over", mmap(pages + Page, Page, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == pages + Page);
    CHECK("is zero, neighbours are not", pages[Page] == 0 && pages[Page - 1] == 'x' && pages[2 * Page] == 'x');
    CHECK_ERRNO("MAP_FIXED_NOREPLACE", mmap(pages, Page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS
        | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    CHECK_ERRNO("MAP_FIXED misaligned", mmap(pages + 1, Page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
        -1, 0), EINVAL);
    CHECK_ERRNO("MAP_FIXED in the kernel's half", mmap((void *)0xffff800000000000UL, Page, PROT_READ,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), ENOMEM);

    char *block = private_pages(4);
    for (int i = 0; i < 4; i++)
        block[i * Page] = (char)('0' + i);
    char *moved = mremap(block, 4 * Page, 64 * Page, MREMAP_MAYMOVE);
    CHECK("mremap grows", moved != MAP_FAILED && moved[0] == '0' && moved[3 * Page] == '3' && moved[63 * Page] == 0);
    CHECK("old place is gone", moved == block || !reads(block));
    CHECK("mremap shrinks", mremap(moved, 64 * Page, 2 * Page, 0) == moved && moved[Page] == '1'
        && !reads(moved + 2 * Page));
    char *target = private_pages(2);
    memset(target, 't', 2 * Page);
    CHECK("mremap to a fixed place", mremap(moved, 2 * Page, 2 * Page, MREMAP_MAYMOVE | MREMAP_FIXED, target)
        == target && target[0] == '0' && target[Page] == '1' && !reads(moved));
    char *wall = private_pages(3);
    NEED(!munmap(wall + Page, Page));
    CHECK_ERRNO("mremap cannot grow in place", mremap(wall, Page, 3 * Page, 0), ENOMEM);
    CHECK_ERRNO("mremap of nothing", mremap((void *)0x10000000, Page, 2 * Page, MREMAP_MAYMOVE), EFAULT);
    wall[0] = 'w';
    CHECK("MREMAP_DONTUNMAP", (moved = mremap(wall, Page, Page, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0)) != MAP_FAILED
        && moved[0] == 'w' && reads(wall) && wall[0] == 0);
}

static void advice(void)
{
    char *pages = private_pages(1024);
    memset(pages, 'd', 1024 * Page);
    NEED(!madvise(pages + 10 * Page, 1000 * Page, MADV_DONTNEED));
    int zeroes = 0;
    for (int i = 0; i < 1024; i++)
        zeroes += pages[i * Page + 7] == 0;
    CHECK("MADV_DONTNEED zeroes", zeroes == 1000);
    CHECK("writable after", writes(pages + 20 * Page, 'e') && pages[20 * Page] == 'e');
    CHECK("MADV_WILLNEED", !madvise(pages, Page, MADV_WILLNEED));
    CHECK_ERRNO("unknown advice", madvise(pages, Page, 9999), EINVAL);
    CHECK_ERRNO("misaligned", madvise(pages + 1, Page, MADV_DONTNEED), EINVAL);
    CHECK_ERRNO("nothing there", madvise((void *)0x10000000, Page, MADV_DONTNEED), ENOMEM);
    unsigned char present[4] = { 9, 9, 9, 9 };
    CHECK("mincore", !mincore(pages, 2 * Page, present) && (present[0] & 1));
    CHECK("mlock", !mlock(pages, Page) && !munlock(pages, Page));
    CHECK("msync", !msync(pages, Page, MS_SYNC));

    char *heap = sbrk(0);
    NEED(sbrk(100 * Page) == heap);
    CHECK("brk is zero", heap[50 * Page] == 0 && writes(heap + 99 * Page, 'h'));
    NEED(sbrk(-100 * Page) != (void *)-1);
    CHECK("brk gives back", !reads(heap + 99 * Page));
    NEED(sbrk(100 * Page) != (void *)-1);
    CHECK("and is zero again", heap[99 * Page] == 0);
}

static int child_writes(char *shared)
{
    shared[0] = 'c';
    shared[Page] = 'd';
    return 1;
}

static void sharing(void)
{
    int memory = memfd_create("shared", MFD_CLOEXEC);
    NEED(memory >= 0 && !ftruncate(memory, 3 * Page));
    char *one = map(3 * Page, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    char *two = map(3 * Page, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    char *part = map(Page, PROT_READ, MAP_SHARED, memory, Page);
    NEED(one != MAP_FAILED && two != MAP_FAILED && part != MAP_FAILED);
    one[5] = 'q';
    two[Page + 5] = 'r';
    CHECK("two mappings alias", two[5] == 'q' && one[Page + 5] == 'r' && part[5] == 'r');
    char text[4];
    CHECK("file sees the mapping", pread(memory, text, 1, 5) == 1 && text[0] == 'q');
    CHECK("mapping sees the file", pwrite(memory, "zz", 2, 2 * Page) == 2
        && one[2 * Page] == 'z' && two[2 * Page + 1] == 'z');
    char *private = map(3 * Page, PROT_READ | PROT_WRITE, MAP_PRIVATE, memory, 0);
    NEED(private != MAP_FAILED);
    CHECK("private starts as the file", private[5] == 'q');
    private[6] = 'p';
    CHECK("private write stays private", one[6] == 0 && pread(memory, text, 1, 6) == 1 && text[0] == 0);
    NEED(!madvise(private, Page, MADV_DONTNEED));
    CHECK("MADV_DONTNEED shows the file again", private[6] == 0 && private[5] == 'q');
    NEED(!ftruncate(memory, Page));
    CHECK("truncated mapping", !reads(one + Page) && number == SIGBUS && code == BUS_ADRERR && address == one + Page);
    NEED(!ftruncate(memory, 3 * Page));
    CHECK("grown again, zero", reads(one + Page) && one[Page + 5] == 0);

    char *shared = map(2 * Page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NEED(shared != MAP_FAILED);
    shared[0] = 'p';
    CHECK("shared anonymous memory crosses a fork", in_child(child_writes, shared) && shared[0] == 'c'
        && shared[Page] == 'd');
    close(memory);
    CHECK("mapping outlives the descriptor", one[5] == 'q');
}

static int sealed_file(void)
{
    int memory = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    NEED(memory >= 0 && !ftruncate(memory, 4 * Page));
    return memory;
}

static void seals(void)
{
    int memory = sealed_file();
    char *pages = map(3 * Page, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    NEED(pages != MAP_FAILED);
    CHECK_ERRNO("F_SEAL_WRITE of what is mapped writable", fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
    NEED(!mprotect(pages + Page, Page, PROT_READ) && !munmap(pages, Page) && !munmap(pages + 2 * Page, Page));
    CHECK_ERRNO("or may become so", fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
    char *private = map(Page, PROT_READ | PROT_WRITE, MAP_PRIVATE, memory, 0);
    NEED(private != MAP_FAILED && !munmap(pages + Page, Page));
    CHECK("F_SEAL_WRITE", !fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE) && writes(private, 'p'));
    CHECK_ERRNO("sealed: writable", map(Page, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0), EPERM);
    /* Before Linux 6.7, no shared mapping at all. */
    char *later = map(Page, PROT_READ, MAP_SHARED, memory, 0);
    CHECK("sealed: not to become writable", later == MAP_FAILED || mprotect(later, Page, PROT_READ | PROT_WRITE));

    memory = sealed_file();
    pages = map(Page, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    NEED(pages != MAP_FAILED);
    CHECK("F_SEAL_FUTURE_WRITE", !fcntl(memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) && writes(pages, 'w'));
    CHECK_ERRNO("future: writable", map(Page, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0), EPERM);
    later = map(Page, PROT_READ, MAP_SHARED, memory, 0);
    NEED(later != MAP_FAILED);
    CHECK_ERRNO("future: not to become writable", mprotect(later, Page, PROT_READ | PROT_WRITE), EACCES);
    CHECK("but to be seen", later[0] == 'w');
}

static void files(void)
{
    int file = open("mapped", O_CREAT | O_RDWR | O_TRUNC, 0600);
    NEED(file >= 0);
    char block[Page];
    memset(block, 'f', sizeof block);
    NEED(write(file, block, Page) == Page && write(file, block, 100) == 100);
    char *private = map(2 * Page, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    NEED(private != MAP_FAILED);
    CHECK("file content", private[0] == 'f' && private[Page + 99] == 'f');
    CHECK("zero behind the end", private[Page + 100] == 0 && private[2 * Page - 1] == 0);
    private[10] = 'g';
    char byte = 0;
    CHECK("copy on write", private[10] == 'g' && pread(file, &byte, 1, 10) == 1 && byte == 'f');
    char *beyond = map(4 * Page, PROT_READ, MAP_PRIVATE, file, 0);
    NEED(beyond != MAP_FAILED);
    /* Which address is not compared: KVM does not say where the host's file ended (README, known differences). */
    CHECK("page past the end: SIGBUS", !reads(beyond + 2 * Page) && number == SIGBUS && code == BUS_ADRERR);
    int pipe_ends[2];
    NEED(!pipe(pipe_ends));
    CHECK_ERRNO("a system call sees EFAULT there", write(pipe_ends[1], beyond + 2 * Page, 1), EFAULT);

    char *shared = map(2 * Page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    NEED(shared != MAP_FAILED);
    shared[20] = 's';
    CHECK("shared write reaches the file", pread(file, &byte, 1, 20) == 1 && byte == 's');
    NEED(pwrite(file, "w", 1, 21) == 1);
    CHECK("file write reaches the mapping", shared[21] == 'w');
    NEED(!ftruncate(file, 4 * Page));
    CHECK("growth reaches mappings", reads(beyond + 3 * Page) && beyond[3 * Page] == 0);
    NEED(pwrite(file, "e", 1, 3 * Page) == 1);
    CHECK("and its content", beyond[3 * Page] == 'e');
    CHECK("msync", !msync(shared, 2 * Page, MS_SYNC));
    close(file);
    file = open("mapped", O_RDONLY);
    CHECK_ERRNO("shared writable mapping of a read-only descriptor", map(Page, PROT_READ | PROT_WRITE, MAP_SHARED,
        file, 0), EACCES);
    char *later = map(Page, PROT_READ, MAP_SHARED, file, 0);
    NEED(later != MAP_FAILED);
    CHECK_ERRNO("and no mprotect to it", mprotect(later, Page, PROT_READ | PROT_WRITE), EACCES);
    CHECK("private writable is fine", (private = map(Page, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0)) != MAP_FAILED
        && private[20] == 's');
    close(file);
    file = open("mapped", O_WRONLY);
    CHECK_ERRNO("mapping of a write-only descriptor", map(Page, PROT_READ, MAP_PRIVATE, file, 0), EACCES);
    close(file);
    unlink("mapped");
    CHECK("mapping outlives the name", later[20] == 's');
    int directory = open(".", O_RDONLY);
    CHECK_ERRNO("mapping of a directory", map(Page, PROT_READ, MAP_PRIVATE, directory, 0), ENODEV);
}

static void stack(void)
{
    char *top = __builtin_frame_address(0);
    int good = 0;
    volatile char *deep = alloca(3 << 20);
    for (int i = (3 << 20) - 1; i >= 0; i -= Page) {
        deep[i] = 'k';
        good++;
    }
    CHECK("stack grows", good == 768 && (char *)deep < top && deep[(3 << 20) - 1] == 'k');
    const char *far = top - (512L << 20);
    CHECK("far below the limit is nothing", !reads(far) && code == SEGV_MAPERR);
}

static void accounting(void)
{
    struct rlimit space = { 1UL << 30, RLIM_INFINITY }, old;
    NEED(!getrlimit(RLIMIT_AS, &old));
    space.rlim_max = old.rlim_max;
    NEED(!setrlimit(RLIMIT_AS, &space));
    CHECK_ERRNO("RLIMIT_AS", map(2UL << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
    NEED(!setrlimit(RLIMIT_AS, &old));
    long maps = 0;
    char *many = private_pages(2000);
    for (int i = 0; i < 2000; i += 2) {
        maps += !mprotect(many + i * Page, Page, PROT_READ);
        many[(i + 1) * Page] = 1;
    }
    CHECK("1000 separate areas", maps == 1000 && !writes(many + 1000 * Page, 1) && writes(many + 1001 * Page, 1));
    CHECK("unmapped at once", !munmap(many, 2000 * Page));
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO };
    NEED(!sigaction(SIGSEGV, &action, NULL) && !sigaction(SIGBUS, &action, NULL));
    reservations();
    protection();
    placing();
    advice();
    sharing();
    seals();
    files();
    stack();
    accounting();
    return finish();
}
