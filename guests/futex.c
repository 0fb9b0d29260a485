/* Futexes: raw operations with their errors, timeouts, requeueing, bit sets, robust and shared locks. */
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static long futex(atomic_uint *word, int operation, unsigned value, const void *timeout, void *other, unsigned last)
{
    return syscall(SYS_futex, word, operation, value, timeout, other, last);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static atomic_uint word, second_word;
static atomic_int waiting, woken;

static void *wait_once(void *unused)
{
    (void)unused;
    atomic_fetch_add(&waiting, 1);
    while (futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == -1 && errno == EINTR)
        ;
    atomic_fetch_add(&woken, 1);
    return NULL;
}

static void *wait_for_bits(void *bits)
{
    atomic_fetch_add(&waiting, 1);
    futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (unsigned)(uintptr_t)bits);
    atomic_fetch_add(&woken, 1);
    return NULL;
}

static void settle(void)
{
    struct timespec little = { 0, 20000000 };
    nanosleep(&little, NULL);
}

static void until(atomic_int *counter, int value)
{
    struct timespec little = { 0, 1000000 };
    for (int i = 0; i < 5000 && atomic_load(counter) < value; i++)
        nanosleep(&little, NULL);
}

static void raw(void)
{
    pthread_t threads[4];
    struct timespec little = { 0, 30000000 }, absolute, bad = { 0, -1 };
    CHECK_ERRNO("another value", futex(&word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0), EAGAIN);
    double start = now();
    CHECK_ERRNO("relative timeout", futex(&word, FUTEX_WAIT_PRIVATE, 0, &little, NULL, 0), ETIMEDOUT);
    CHECK("it took its time", now() - start >= 0.029);
    clock_gettime(CLOCK_MONOTONIC, &absolute);
    absolute.tv_nsec += 30000000;
    if (absolute.tv_nsec >= 1000000000) {
        absolute.tv_sec++;
        absolute.tv_nsec -= 1000000000;
    }
    start = now();
    CHECK_ERRNO("absolute timeout", futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &absolute, NULL,
        FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
    CHECK("it took its time", now() - start >= 0.02);
    CHECK_ERRNO("bad timeout", futex(&word, FUTEX_WAIT_PRIVATE, 0, &bad, NULL, 0), EINVAL);
    CHECK_ERRNO("misaligned", futex((atomic_uint *)((char *)&word + 1), FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), EINVAL);
    CHECK_ERRNO("unmapped", futex((atomic_uint *)8, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EFAULT);
    CHECK_ERRNO("empty bit set", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 0), EINVAL);
    CHECK_ERRNO("unknown operation", futex(&word, 100, 0, NULL, NULL, 0), ENOSYS);
    CHECK("nobody to wake", futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0) == 0);

    for (int i = 0; i < 4; i++)
        NEED(!pthread_create(&threads[i], NULL, wait_once, NULL));
    until(&waiting, 4);
    settle();
    CHECK("wake one", futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 1);
    CHECK_ERRNO("compare-requeue with another value", futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)10,
        &second_word, 5), EAGAIN);
    CHECK("wake one, requeue two", futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &second_word, 0) == 3);
    until(&woken, 2);
    settle();
    CHECK("two are awake", woken == 2);
    CHECK("none on the first word", futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0) == 0);
    CHECK("two on the second", futex(&second_word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0) == 2);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);

    waiting = woken = 0;
    NEED(!pthread_create(&threads[0], NULL, wait_for_bits, (void *)1));
    NEED(!pthread_create(&threads[1], NULL, wait_for_bits, (void *)2));
    until(&waiting, 2);
    settle();
    CHECK("bits select", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 4) == 0);
    CHECK("bits select one", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 6) == 1);
    CHECK("and the other", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 1) == 1);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);

    waiting = woken = 0;
    second_word = 5;
    NEED(!pthread_create(&threads[0], NULL, wait_once, NULL));
    until(&waiting, 1);
    settle();
    int add_one = FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 5);
    CHECK("wake-op", futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &second_word, (unsigned)add_one) == 1
        && second_word == 6);
    pthread_join(threads[0], NULL);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int go, arrived;

static void *wait_on_condition(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    arrived++;
    while (!go)
        pthread_cond_wait(&condition, &lock);
    arrived--;
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void *die_with_lock(void *mutex)
{
    pthread_mutex_lock(mutex);
    return NULL;
}

struct shared {
    pthread_mutex_t mutex;
    pthread_mutex_t robust;
    sem_t semaphore;
    atomic_uint word;
    int value;
};

static void locks(void)
{
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        NEED(!pthread_create(&threads[i], NULL, wait_on_condition, NULL));
    for (int all = 0; !all;) {
        pthread_mutex_lock(&lock);
        all = arrived == 8;
        if (all)
            go = 1;
        pthread_mutex_unlock(&lock);
    }
    pthread_cond_broadcast(&condition);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    CHECK("broadcast wakes all", arrived == 0);

    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_sec--;
    pthread_mutex_lock(&lock);
    CHECK("timed wait", pthread_cond_timedwait(&condition, &lock, &soon) == ETIMEDOUT);
    CHECK("busy", pthread_mutex_trylock(&lock) == EBUSY);
    CHECK("timed lock", pthread_mutex_timedlock(&lock, &soon) == ETIMEDOUT);
    pthread_mutex_unlock(&lock);

    struct shared *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NEED(shared != MAP_FAILED);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    NEED(!pthread_mutex_init(&shared->mutex, &attributes) && !sem_init(&shared->semaphore, 1, 0));
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    NEED(!pthread_mutex_init(&shared->robust, &attributes));

    NEED(!pthread_create(&threads[0], NULL, die_with_lock, &shared->robust));
    pthread_join(threads[0], NULL);
    CHECK("robust: owner thread died", pthread_mutex_lock(&shared->robust) == EOWNERDEAD);
    CHECK("robust: consistent again", !pthread_mutex_consistent(&shared->robust)
        && !pthread_mutex_unlock(&shared->robust));
    pid_t child = fork();
    if (!child) {
        pthread_mutex_lock(&shared->robust);
        raise(SIGKILL);
    }
    CHECK("robust: owner process killed while locked", waitpid(child, NULL, 0) == child
        && pthread_mutex_lock(&shared->robust) == EOWNERDEAD && !pthread_mutex_consistent(&shared->robust)
        && !pthread_mutex_unlock(&shared->robust));

    child = fork();
    if (!child) {
        for (int i = 0; i < 3000; i++) {
            pthread_mutex_lock(&shared->mutex);
            shared->value++;
            pthread_mutex_unlock(&shared->mutex);
        }
        sem_post(&shared->semaphore);
        while (!shared->word)
            futex(&shared->word, FUTEX_WAIT, 0, NULL, NULL, 0);
        _exit(0);
    }
    for (int i = 0; i < 3000; i++) {
        pthread_mutex_lock(&shared->mutex);
        shared->value++;
        pthread_mutex_unlock(&shared->mutex);
    }
    while (sem_wait(&shared->semaphore) == -1 && errno == EINTR)
        ;
    CHECK("a mutex between processes", shared->value == 6000);
    shared->word = 1;
    futex(&shared->word, FUTEX_WAKE, 1, NULL, NULL, 0);
    int status = -1;
    CHECK("a futex between processes", waitpid(child, &status, 0) == child && status == 0);

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutex_t inheriting;
    int error = pthread_mutex_init(&inheriting, &attributes);
    CHECK("priority inheritance", !error && !pthread_mutex_lock(&inheriting) && !pthread_mutex_unlock(&inheriting));
}

int main(void)
{
    raw();
    locks();
    return finish();
}
