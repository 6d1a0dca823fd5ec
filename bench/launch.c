/* launch COMMAND: runs it with `sh -c` and prints what it took, last on standard error:
 *
 *     WALL_S CPU_S MAX_KB
 *
 * CPU is user and system time of all processes that were waited for; MAX_KB the memory of the
 * largest single process.  It is a program of its own because a process is charged the memory of
 * who forked it: an interpreter's would hide the small ones'.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds_of(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct rusage usage;
    double begun = now();
    int status;
    pid_t pid;

    if (argc != 2)
        return 2;
    pid = fork();
    if (pid == 0) {
        (void)execl("/bin/sh", "sh", "-c", argv[1], (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
        return 2;
    (void)fprintf(stderr, "%.6f %.6f %ld\n", now() - begun,
                  seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime), usage.ru_maxrss);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
