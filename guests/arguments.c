/* What a process is started with: arguments, environment, auxiliary vector, stack alignment. */
#include "check.h"
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <sys/auxv.h>

extern char **environ;

int main(int argc, char **argv)
{
    say("arguments %d", argc - 1);
    for (int i = 1; i < argc; i++)
        say("argument %d [%s]", i, argv[i]);
    CHECK("argv ends with null", argv[argc] == NULL);
    for (char **entry = environ; *entry; entry++)
        if (!strncmp(*entry, "TEST_", 5))
            say("environment [%s]", *entry);

    CHECK("environment follows argv", environ == argv + argc + 1);
    char **end = environ;
    while (*end)
        end++;
    ElfW(auxv_t) *vector = (ElfW(auxv_t) *)(end + 1);
    CHECK("auxv follows environment", (uintptr_t)vector % 8 == 0);
    int entries = 0;
    while (vector[entries].a_type != AT_NULL && entries < 100)
        entries++;
    CHECK("auxv is terminated", entries > 10 && entries < 100);

    CHECK("AT_PAGESZ", getauxval(AT_PAGESZ) == 4096);
    CHECK("AT_CLKTCK", getauxval(AT_CLKTCK) == 100);
    CHECK("AT_PHENT", getauxval(AT_PHENT) == sizeof(ElfW(Phdr)));
    CHECK("AT_PHNUM", getauxval(AT_PHNUM) > 2 && getauxval(AT_PHNUM) < 64);
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    int loads = 0;
    for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
        loads += headers[i].p_type == PT_LOAD;
    CHECK("AT_PHDR is readable", loads >= 2);
    CHECK("AT_ENTRY", getauxval(AT_ENTRY) != 0);
    CHECK("AT_FLAGS", getauxval(AT_FLAGS) == 0);
    CHECK("AT_UID", getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid());
    CHECK("AT_GID", getauxval(AT_GID) == getgid() && getauxval(AT_EGID) == getegid());
    CHECK("AT_SECURE", getauxval(AT_SECURE) == 0);
    const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
    int distinct = 0;
    for (int i = 1; i < 16; i++)
        distinct += random[i] != random[0];
    CHECK("AT_RANDOM", distinct > 4);
    CHECK("AT_PLATFORM", !strcmp((const char *)getauxval(AT_PLATFORM), "x86_64"));
    const char *file = (const char *)getauxval(AT_EXECFN);
    CHECK("AT_EXECFN", file && !strcmp(file, argv[0]));
    const ElfW(Ehdr) *vdso = (const ElfW(Ehdr) *)getauxval(AT_SYSINFO_EHDR);
    CHECK("AT_SYSINFO_EHDR", vdso && !memcmp(vdso->e_ident, ELFMAG, SELFMAG) && vdso->e_type == ET_DYN);
    CHECK("AT_HWCAP", getauxval(AT_HWCAP) != 0);
    CHECK("strings above the vector", (uintptr_t)argv[0] > (uintptr_t)&vector[entries]);
    CHECK("frame is aligned", (uintptr_t)__builtin_frame_address(0) % 16 == 0);
    return finish();
}
