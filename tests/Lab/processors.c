/* processors STEPS: a thread on each processor, two at least, and a number that goes around among them until each has
   taken so many steps. Each step wakes the others, and is taken on the processor that the thread was put on. */
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static long processors, threads, steps, number;

static void *take_steps(void *argument)
{
    long me = (long)argument;
    int here = (int)(me % processors);
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(here, &only);
    if (sched_setaffinity(0, sizeof only, &only) < 0)
        err(1, "processor %d", here);
    pthread_mutex_lock(&lock);
    while (number < steps) {
        if (number % threads != me) {
            pthread_cond_wait(&moved, &lock);
            continue;
        }
        if (sched_getcpu() != here)
            errx(1, "a thread of processor %d runs on %d", here, sched_getcpu());
        number++;
        pthread_cond_broadcast(&moved);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t all[64];
    if (argc != 2)
        errx(2, "processors STEPS");
    processors = sysconf(_SC_NPROCESSORS_ONLN);
    threads = processors < 2 ? 2 : processors;
    steps = threads * atol(argv[1]);
    if (threads > 64)
        errx(1, "%ld processors are too many", processors);
    for (long i = 0; i < threads; i++)
        if (pthread_create(&all[i], NULL, take_steps, (void *)i) != 0)
            errx(1, "thread %ld does not start", i);
    for (long i = 0; i < threads; i++)
        pthread_join(all[i], NULL);
    printf("%ld processors, %ld threads, %ld steps\n", processors, threads, number);
    return 0;
}
