/* Loaded before the C library (LD_PRELOAD), it sets the system's clock for one process and its children. The file
 * $CLOCK_STANDIN holds two numbers of nanoseconds, eight bytes each. The first is added to CLOCK_REALTIME, as when the
 * kernel's clock is set; the second to CLOCK_REALTIME and CLOCK_BOOTTIME, as when the host was asleep so long.
 * CLOCK_MONOTONIC stays. Waits until a time of the system's clock end when it has come, as the kernel's do.
 *
 * With $CLOCK_STANDIN_LOCKS set, waits by sem_clockwait are such waits too: a Python built for a C library without it
 * (glibc before 2.30) or older than 3.11 has no others. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define LOOK_EVERY (10 * 1000000)

typedef struct {
    int64_t set, slept;
} Offsets;

static const volatile Offsets nothing;
static const volatile Offsets *offsets = &nothing;
static int locks_by_wall = 0;

__attribute__((constructor)) static void open_offsets(void) {
    const char *path = getenv("CLOCK_STANDIN");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof *offsets, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) offsets = mapped;
    locks_by_wall = getenv("CLOCK_STANDIN_LOCKS") != NULL;
}

static int is_wall(clockid_t id) { return id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE; }

static int64_t read_clock(clockid_t id) {
    struct timespec now;
    syscall(SYS_clock_gettime, id, &now);
    int64_t ns = now.tv_sec * SECOND + now.tv_nsec;
    if (is_wall(id)) return ns + offsets->set + offsets->slept;
    return id == CLOCK_BOOTTIME ? ns + offsets->slept : ns;
}

static int64_t of(const struct timespec *at) { return at->tv_sec * SECOND + at->tv_nsec; }

static struct timespec as_timespec(int64_t ns) {
    int64_t rest = (ns % SECOND + SECOND) % SECOND;
    return (struct timespec){.tv_sec = (ns - rest) / SECOND, .tv_nsec = rest};
}

int clock_gettime(clockid_t id, struct timespec *now) {
    if (!is_wall(id) && id != CLOCK_BOOTTIME) return (int)syscall(SYS_clock_gettime, id, now);
    *now = as_timespec(read_clock(id));
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec at = as_timespec(read_clock(CLOCK_REALTIME));
    *now = (struct timeval){.tv_sec = at.tv_sec, .tv_usec = at.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *now) {
    time_t seconds = as_timespec(read_clock(CLOCK_REALTIME)).tv_sec;
    if (now) *now = seconds;
    return seconds;
}

static int wait_until(sem_t *semaphore, clockid_t id, int64_t until) {
    while (sem_trywait(semaphore) != 0) {
        if (errno != EAGAIN) return -1;
        if (read_clock(id) >= until) {
            errno = ETIMEDOUT;
            return -1;
        }
        struct timespec pause = {.tv_nsec = LOOK_EVERY};
        nanosleep(&pause, NULL);
    }
    return 0;
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    return wait_until(semaphore, CLOCK_REALTIME, of(until));
}

int sem_clockwait(sem_t *restrict semaphore, clockid_t id, const struct timespec *restrict until) {
    int64_t left = of(until) - read_clock(id);
    if (locks_by_wall) return wait_until(semaphore, CLOCK_REALTIME, read_clock(CLOCK_REALTIME) + left);
    return wait_until(semaphore, id, of(until));
}
