/* System V shared memory: by number and by key, between processes, after its removal. */
#include "check.h"
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>

static unsigned long attached(int id)
{
    struct shmid_ds status;
    NEED(!shmctl(id, IPC_STAT, &status));
    return status.shm_nattch;
}

static int in_child(int (*test)(int, char *), int id, char *memory)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (!child)
        _exit(test(id, memory) ? 0 : 1);
    int status = -1;
    NEED(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int inherits(int id, char *memory)
{
    memory[1] = 'b';
    return memory[0] == 'a' && attached(id) == 2;
}

static int attaches(int id, char *memory)
{
    char *own = shmat(id, NULL, 0);
    NEED(own != (char *)-1 && own != memory);
    own[2] = 'c';
    return own[1] == 'b' && attached(id) == 3 && !shmdt(own) && attached(id) == 2;
}

int main(void)
{
    const size_t size = 3 * 4096 + 1;
    int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
    NEED(id >= 0);
    CHECK("nobody has it yet", attached(id) == 0);
    char *memory = shmat(id, NULL, 0);
    NEED(memory != (char *)-1);
    CHECK("it is all zeros", memory[0] == 0 && memory[size - 1] == 0);
    CHECK("up to its last page's end", (memory[4 * 4096 - 1] = 'z') == 'z');
    memory[0] = 'a';
    CHECK("a child inherits it", in_child(inherits, id, memory));
    CHECK("and is gone with its end", attached(id) == 1);
    CHECK("a child attaches it", in_child(attaches, id, memory));
    CHECK("what they wrote is there", memory[1] == 'b' && memory[2] == 'c');

    struct shmid_ds status;
    NEED(!shmctl(id, IPC_STAT, &status));
    CHECK("its status", status.shm_segsz == size && status.shm_cpid == getpid() && (status.shm_perm.mode & 0777) == 0600
        && status.shm_perm.uid == geteuid() && status.shm_perm.cgid == getegid() && status.shm_atime != 0);
    status.shm_perm.mode = 0640;
    CHECK("its mode is set", !shmctl(id, IPC_SET, &status) && !shmctl(id, IPC_STAT, &status)
        && (status.shm_perm.mode & 0777) == 0640);

    char *reader = shmat(id, NULL, SHM_RDONLY);
    CHECK("for reading", reader != (char *)-1 && reader[0] == 'a');
    CHECK_ERRNO("which mprotect does not change", mprotect(reader, 4096, PROT_READ | PROT_WRITE), EACCES);
    CHECK_ERRNO("an address that is taken", (long)shmat(id, reader, 0), EINVAL);
    CHECK("unless it may be", shmat(id, reader, SHM_REMAP | SHM_RDONLY) == reader && attached(id) == 2);
    CHECK_ERRNO("an address between pages", (long)shmat(id, reader + 1, 0), EINVAL);
    CHECK("a part is unmapped", !munmap(reader + 4096, 4096));
    CHECK_ERRNO("not from its middle", shmdt(reader + 2 * 4096), EINVAL);
    CHECK("the rest goes as a whole", !shmdt(reader) && attached(id) == 1);
    CHECK_ERRNO("and only once", shmdt(reader), EINVAL);

    CHECK("removed", !shmctl(id, IPC_RMID, NULL));
    CHECK("it stays as long as it is attached", memory[0] == 'a' && !shmctl(id, IPC_STAT, &status)
        && (status.shm_perm.mode & 01000) && status.shm_nattch == 1);
    reader = shmat(id, NULL, 0);
    CHECK("and can be attached", reader != (char *)-1 && reader[0] == 'a' && !shmdt(reader));
    CHECK("until nobody has it", !shmdt(memory));
    CHECK_ERRNO("then it is gone", shmctl(id, IPC_STAT, &status), EINVAL);
    CHECK_ERRNO("for attaching too", (long)shmat(id, NULL, 0), EINVAL);

    key_t key = (key_t)(0x5a000000 | getpid());
    CHECK_ERRNO("no such key", shmget(key, 4096, 0600), ENOENT);
    id = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600);
    NEED(id >= 0);
    CHECK("the same key", shmget(key, 4096, IPC_CREAT | 0600) == id && shmget(key, 0, 0) == id);
    CHECK_ERRNO("exclusively", shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    CHECK_ERRNO("larger than it is", shmget(key, 4097, 0600), EINVAL);
    CHECK("removed by its key", !shmctl(id, IPC_RMID, NULL));
    CHECK_ERRNO("which is free", shmget(key, 4096, 0600), ENOENT);
    CHECK_ERRNO("no size", shmget(IPC_PRIVATE, 0, 0600), EINVAL);
    CHECK_ERRNO("no command", shmctl(id, 99, NULL), EINVAL);
    return finish();
}
