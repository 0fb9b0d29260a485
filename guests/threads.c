/* Threads: thread-local storage, locks, condition variables, barriers, keys, cancellation, and results. */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>

enum { Workers = 4, Rounds = 20000, Exchanges = 500 };

static __thread int initialised = 41;
static __thread int zeroed;
static __thread char large[20000];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_rwlock_t shared_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static sem_t semaphore;
static long counted;
static atomic_long added;
static atomic_int destroyed, once_runs, cleaned;
static int turn;

static void destroy(void *value) { atomic_fetch_add(&destroyed, (int)(intptr_t)value); }
static void run_once(void) { atomic_fetch_add(&once_runs, 1); }
static void clean(void *unused) { (void)unused; atomic_fetch_add(&cleaned, 1); }

static void *work(void *argument)
{
    intptr_t number = (intptr_t)argument;
    intptr_t wrong = initialised != 41 || zeroed != 0 || large[19999] != 0;
    initialised += (int)number;
    zeroed = (int)number;
    large[19999] = (char)number;
    pthread_setspecific(key, (void *)1);
    pthread_once(&once, run_once);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < Rounds; i++) {
        pthread_mutex_lock(&lock);
        counted++;
        pthread_mutex_unlock(&lock);
        atomic_fetch_add(&added, 1);
    }
    pthread_rwlock_rdlock(&shared_lock);
    pthread_rwlock_unlock(&shared_lock);
    sem_post(&semaphore);
    wrong |= initialised != 41 + number || zeroed != number || large[19999] != (char)number;
    wrong |= syscall(SYS_gettid) == getpid();
    return (void *)(wrong ? -1 : number * number);
}

static void *alternate(void *argument)
{
    int mine = (int)(intptr_t)argument;
    for (int i = 0; i < Exchanges; i++) {
        pthread_mutex_lock(&lock);
        while (turn != mine)
            pthread_cond_wait(&turned, &lock);
        turn = !mine;
        pthread_cond_signal(&turned);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void *sleep_forever(void *unused)
{
    (void)unused;
    pthread_cleanup_push(clean, NULL);
    for (;;)
        pause();
    pthread_cleanup_pop(0);
    return NULL;
}

static void *nothing(void *unused)
{
    (void)unused;
    return &lock;
}

static void *spin_forever(void *unused)
{
    (void)unused;
    for (volatile long i = 0;; i++)
        ;
    return NULL;
}

int main(void)
{
    pthread_t threads[Workers];
    NEED(!pthread_key_create(&key, destroy) && !pthread_barrier_init(&barrier, NULL, Workers)
        && !sem_init(&semaphore, 0, 0));
    pthread_rwlock_wrlock(&shared_lock);
    for (intptr_t i = 0; i < Workers; i++)
        NEED(!pthread_create(&threads[i], NULL, work, (void *)(i + 2)));
    pthread_rwlock_unlock(&shared_lock);
    for (intptr_t i = 0; i < Workers; i++) {
        void *result = NULL;
        NEED(!pthread_join(threads[i], &result));
        say("thread %ld returned %ld", (long)i, (long)(intptr_t)result);
    }
    CHECK("mutex", counted == (long)Workers * Rounds);
    CHECK("atomics", added == (long)Workers * Rounds);
    CHECK("key destructors", destroyed == Workers);
    CHECK("once", once_runs == 1);
    int posts = -1;
    sem_getvalue(&semaphore, &posts);
    CHECK("semaphore", posts == Workers);
    CHECK("own storage untouched", initialised == 41 && zeroed == 0 && large[19999] == 0);

    for (intptr_t i = 0; i < 2; i++)
        NEED(!pthread_create(&threads[i], NULL, alternate, (void *)i));
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    CHECK("condition variable exchanges", turn == 0);

    void *result = NULL;
    NEED(!pthread_create(&threads[0], NULL, sleep_forever, NULL));
    NEED(!pthread_cancel(threads[0]) && !pthread_join(threads[0], &result));
    CHECK("cancelled", result == PTHREAD_CANCELED && cleaned <= 1);

    int joined = 0;
    for (int i = 0; i < 200; i++) {
        pthread_t brief;
        joined += !pthread_create(&brief, NULL, nothing, NULL) && !pthread_join(brief, &result) && result == &lock;
    }
    CHECK("200 brief threads", joined == 200);

    NEED(!pthread_create(&threads[0], NULL, spin_forever, NULL));
    /* exit_group must take a thread that never makes a system call with it. */
    return finish();
}
