/* Puts a filter program behind a unix socket: each connection is a process of it, with the connection as its standard input and
 * output, as OpenSMTPD itself runs filters. Linked statically, it runs in any image, however little is in there.
 *
 *     bridge [--no-network] SOCKET PROGRAM [ARGUMENT ...]
 *     bridge --install TARGET            copies itself, for the container that lays it into a shared directory
 *
 * The socket belongs to whoever starts it and is replaced when it is there already. When a connection ends, its process gets
 * the end of its input, a moment later SIGTERM, then SIGKILL. SIGTERM ends the bridge and all processes.
 *
 * With --no-network neither the bridge nor what it starts can make a socket but a unix one. The containers of a pod have one
 * network together, so nobody but the kernel's system call filter can tell them apart.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 64, BACKLOG = 16, GRACE_SECONDS = 2 };

/* A running program. The connection stays open here to see its end; deadline is 0 until it ended. */
struct child { pid_t pid; int connection; time_t deadline; int asked; };

static struct child children[MOST];
static sigset_t waited;

static void fail(const char *what) {
    fprintf(stderr, "bridge: %s: %s\n", what, strerror(errno));
    exit(1);
}

static time_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec;
}

static int install(const char *target) {
    char buffer[65536];
    ssize_t count;
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int to = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (from < 0 || to < 0) fail(target);
    while ((count = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, (size_t)count) != count) fail(target);
    if (count < 0 || fchmod(to, 0755) < 0 || close(to) < 0) fail(target);
    return 0;
}

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE 0 /* not known: nothing is let through, so no filter runs rather than one with a network */
#endif
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))
#define ANSWER(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

/* Other architectures' calls have other numbers, x32's are these with a bit set, and io_uring makes sockets by itself. */
static void cut_off(void) {
    struct sock_filter rules[] = {
        LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0), ANSWER(ENOSYS),
        LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), ANSWER(ENOSYS),
        UNLESS(__NR_io_uring_setup, 1), ANSWER(ENOSYS),
        UNLESS(__NR_socket, 3), LOAD(args[0]), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 1, 0), ANSWER(EACCES),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = sizeof rules / sizeof *rules, .filter = rules };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) fail("no_new_privs");
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) fail("seccomp");
}

static int listen_at(const char *path) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0) fail("socket");
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof address.sun_path) { errno = ENAMETOOLONG; fail(path); }
    unlink(address.sun_path);
    /* The MTA runs as another user, in the same group of the pod. */
    umask(0117);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, BACKLOG) < 0) fail(path);
    umask(0077);
    /* It has its name only when it listens: nobody finds it too early. */
    if (rename(address.sun_path, path) < 0) fail(path);
    return listener;
}

static struct child *free_place(void) {
    for (int at = 0; at < MOST; at++)
        if (children[at].pid == 0) return &children[at];
    return NULL;
}

static void become(int connection, char **argv) {
    sigprocmask(SIG_UNBLOCK, &waited, NULL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    if (dup2(connection, 0) < 0 || dup2(connection, 1) < 0) _exit(126);
    execvp(argv[0], argv);
    fprintf(stderr, "bridge: %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static void take_connection(int listener, char **argv) {
    struct child *child = free_place();
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) return;
    if (child == NULL) {
        fprintf(stderr, "bridge: more than %d connections\n", MOST);
        close(connection);
        return;
    }
    pid_t pid = fork();
    if (pid == 0) become(connection, argv);
    if (pid < 0) { close(connection); return; }
    *child = (struct child){ .pid = pid, .connection = connection };
}

static void end(struct child *child, int signal_number) {
    kill(-child->pid, signal_number);
}

static void forget(struct child *child) {
    end(child, SIGKILL); /* what it started and left behind */
    if (child->connection >= 0) close(child->connection);
    *child = (struct child){ 0 };
}

static void reap(void) {
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
        for (int at = 0; at < MOST; at++)
            if (children[at].pid == pid) forget(&children[at]);
}

/* The other side is gone: the program sees the end of its input, and has a moment. */
static void hang_up(struct child *child) {
    shutdown(child->connection, SHUT_RDWR);
    close(child->connection);
    child->connection = -1;
    child->deadline = now() + GRACE_SECONDS;
}

static void press(struct child *child) {
    if (child->deadline == 0 || now() < child->deadline) return;
    end(child, child->asked ? SIGKILL : SIGTERM);
    child->asked = 1;
    child->deadline = now() + GRACE_SECONDS;
}

static void end_all(void) {
    for (int at = 0; at < MOST; at++)
        if (children[at].pid) end(&children[at], SIGTERM);
    for (time_t until = now() + GRACE_SECONDS; now() < until && waitpid(-1, NULL, WNOHANG) >= 0; usleep(20000)) continue;
    for (int at = 0; at < MOST; at++)
        if (children[at].pid) end(&children[at], SIGKILL);
}

/* One look at everything that may have happened; 0 when the bridge shall end. */
static int turn(int listener, int signals, char **argv) {
    struct pollfd seen[MOST + 2] = { { .fd = listener, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
    int pressing = 0;
    for (int at = 0; at < MOST; at++) {
        /* POLLRDHUP, not POLLIN: what is said is the program's to read. */
        int open = children[at].pid && children[at].connection >= 0;
        seen[at + 2] = (struct pollfd){ .fd = open ? children[at].connection : -1, .events = POLLRDHUP };
        pressing |= children[at].deadline != 0;
    }
    if (poll(seen, MOST + 2, pressing ? 200 : -1) < 0 && errno != EINTR) fail("poll");
    struct signalfd_siginfo got;
    while (seen[1].revents && read(signals, &got, sizeof got) == sizeof got)
        if (got.ssi_signo != SIGCHLD) return 0;
    for (int at = 0; at < MOST; at++) {
        if (children[at].pid && children[at].connection >= 0 && seen[at + 2].revents) hang_up(&children[at]);
        if (children[at].pid) press(&children[at]);
    }
    reap();
    if (seen[0].revents) take_connection(listener, argv);
    return 1;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--install") == 0) return install(argv[2]);
    if (argc > 1 && strcmp(argv[1], "--no-network") == 0) {
        cut_off();
        argc--, argv++;
    }
    if (argc < 3) {
        fprintf(stderr, "usage: bridge [--no-network] SOCKET PROGRAM [ARGUMENT ...]\n       bridge --install TARGET\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&waited);
    sigaddset(&waited, SIGCHLD);
    sigaddset(&waited, SIGTERM);
    sigaddset(&waited, SIGINT);
    if (sigprocmask(SIG_BLOCK, &waited, NULL) < 0) fail("sigprocmask");
    int signals = signalfd(-1, &waited, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) fail("signalfd");
    int listener = listen_at(argv[1]);
    while (turn(listener, signals, argv + 2)) continue;
    unlink(argv[1]);
    end_all();
    return 0;
}
