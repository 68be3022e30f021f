/* host.c - opens and closes plugin.c's objects; each test is a mode, named by the first argument:
 *
 *   roots DIR       its references live, from this thread and from one that is blocked meanwhile
 *   load DIR        opened and closed in a loop while others allocate and collect
 *   constructor DIR a collection ends while a constructor sleeps
 *   cleanups DIR    cleanups in a closed object are dropped, others run
 *   callback DIR    allocation under the loader's lock, beside dlclose
 *   starter DIR     the library's threads are not started under the loader's lock
 *   types DIR       objects of a type live on after the object with its descriptor was closed
 *   reuse DIR       a thread-local block's number is given to an object with a larger block
 *   first DIR       mound's first use is in an object's destructor
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plugin.h"

#define LOAD(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

typedef struct plugin {
    void *handle;
    void (*set)(int seed);
    int (*check)(int seed);
    int (*touch_local)(void);
    void (*cleanup)(void *arg);
    void *(*wide)(int seed);
} plugin;

static const char *dir;

static void fail(const char *what, int detail) {
    fprintf(stderr, "host: %s (%d)\n", what, detail);
    exit(1);
}

static plugin open_plugin(const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.so", dir, name);
    plugin p = {.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL)};
    if (!p.handle) fail(dlerror(), 0);
    *(void **)&p.set = dlsym(p.handle, "plugin_set");
    *(void **)&p.check = dlsym(p.handle, "plugin_check");
    *(void **)&p.touch_local = dlsym(p.handle, "plugin_touch_local");
    *(void **)&p.cleanup = dlsym(p.handle, "plugin_cleanup");
    *(void **)&p.wide = dlsym(p.handle, "plugin_wide");
    return p;
}

/* The same layout as plugin.c's, which may be gone. */
struct wide {
    struct item *near;
    char fill[1000];
    struct item *far;
};

/* Overwrites what calls left on the stack. */
__attribute__((noinline)) static void clear_stack(void) {
    char dead[32768];
    memset(dead, 0, sizeof dead);
    __asm__ volatile("" : : "r"(dead) : "memory");
}

static void collect(int times) {
    for (int i = 0; i < times; i++) {
        mound_gc();
        for (int k = 0; k < 2000; k++) {
            struct item *n = mound_new(struct item);
            n->value = -1;
        }
    }
}

/* ---------------------------------------------------------------- roots */

static plugin shared;
static int phase, thread_result;

static void await(int value) {
    while (LOAD(&phase) != value) usleep(100);
}

static void *holding_main(void *arg) {
    (void)arg;
    shared.set(300);
    clear_stack();
    STORE(&phase, 1);
    await(2);
    thread_result = shared.check(300);
    return NULL;
}

static void test_roots(void) {
    static const char *const names[] = {"plain", "large_tls"};
    for (int i = 0; i < 2; i++) {
        plugin other = open_plugin(names[!i]); /* so that the numbers differ */
        shared = open_plugin(names[i]);
        other.set(7);
        shared.set(200); /* this thread's local; the global is overwritten below */
        pthread_t thread;
        STORE(&phase, 0);
        pthread_create(&thread, NULL, holding_main, NULL);
        await(1);
        clear_stack();
        collect(5);
        STORE(&phase, 2);
        pthread_join(thread, NULL);
        if (thread_result != 0) fail("a thread's reference was lost", thread_result);
        if (other.check(7) != 0) fail("a reference was lost", other.check(7));
        /* 3 would be the thread-local one; the global now holds the thread's. */
        if (shared.check(200) == 3) fail("this thread's local reference was lost", 3);
        dlclose(shared.handle);
        dlclose(other.handle);
    }
}

/* ---------------------------------------------------------------- load */

static int workers_on;

static void *worker_main(void *arg) {
    (void)arg;
    while (LOAD(&workers_on)) {
        struct item *first = NULL;
        for (int i = 0; i < 500; i++) {
            struct item *n = mound_new(struct item);
            n->next = first;
            n->value = i;
            first = n;
        }
        for (int i = 500; i-- > 0; first = first->next)
            if (!first || first->value != i) fail("a worker's list was lost", i);
    }
    return NULL;
}

static void *collector_main(void *arg) {
    (void)arg;
    while (LOAD(&workers_on)) {
        collect(1);
        usleep(100);
    }
    return NULL;
}

static void *loader_main(void *arg) {
    for (int i = 0; i < 60; i++) {
        plugin p = open_plugin(arg);
        p.set(i);
        clear_stack();
        usleep(300);
        int lost = p.check(i);
        if (lost) fail("a reference was lost under load", lost);
        dlclose(p.handle);
    }
    return NULL;
}

static void test_load(void) {
    pthread_t worker[2], collector, loader[2];
    STORE(&workers_on, 1);
    for (int i = 0; i < 2; i++) pthread_create(&worker[i], NULL, worker_main, NULL);
    pthread_create(&collector, NULL, collector_main, NULL);
    pthread_create(&loader[0], NULL, loader_main, "plain");
    pthread_create(&loader[1], NULL, loader_main, "large_tls");
    for (int i = 0; i < 2; i++) pthread_join(loader[i], NULL);
    STORE(&workers_on, 0);
    for (int i = 0; i < 2; i++) pthread_join(worker[i], NULL);
    pthread_join(collector, NULL);
}

/* ---------------------------------------------------------------- constructor */

static void *opening_main(void *arg) {
    (void)arg;
    STORE(&phase, 1);
    shared = open_plugin("sleepy");
    STORE(&phase, 2);
    return NULL;
}

static void test_constructor(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, opening_main, NULL);
    await(1);
    int rounds = 0;
    while (LOAD(&phase) != 2) {
        collect(1);
        rounds++;
    }
    pthread_join(thread, NULL);
    if (rounds < 2) fail("no collection ended while the constructor slept", rounds);
    shared.set(5);
    clear_stack();
    collect(2);
    if (shared.check(5) != 0) fail("a reference was lost", shared.check(5));
    dlclose(shared.handle);
}

/* ---------------------------------------------------------------- cleanups */

static int closed_calls, open_calls, own_calls;
static void own_cleanup(void *arg) { ++*(int *)arg; }

__attribute__((noinline)) static void drop_objects(const plugin *closed, const plugin *open,
                                                   int n) {
    for (int i = 0; i < n; i++) {
        mound_add_cleanup(mound_new(struct item), closed->cleanup, &closed_calls);
        mound_add_cleanup(mound_new(struct item), open->cleanup, &open_calls);
        mound_add_cleanup(mound_new(struct item), own_cleanup, &own_calls);
    }
}

static void test_cleanups(void) {
    enum { OBJECTS = 100 };
    plugin closed = open_plugin("plain"), open = open_plugin("large_tls");
    plugin twice = open_plugin("large_tls"); /* stays after one close */
    drop_objects(&closed, &open, OBJECTS);
    clear_stack();
    dlclose(closed.handle);
    dlclose(twice.handle);
    for (int i = 0; i < 200 && (LOAD(&own_calls) < OBJECTS - 5 || LOAD(&open_calls) < OBJECTS - 5);
         i++) {
        collect(1);
        usleep(1000);
    }
    if (closed_calls != 0) fail("a cleanup of a closed object was called", closed_calls);
    if (own_calls < OBJECTS - 5) fail("cleanups of the program did not run", own_calls);
    if (open_calls < OBJECTS - 5) fail("cleanups of the open object did not run", open_calls);
    dlclose(open.handle);

    /* Now those that are queued already, while the cleanup thread is busy with them. */
    closed_calls = open_calls = own_calls = 0;
    for (int i = 0; i < 20; i++) {
        closed = open_plugin("plain");
        drop_objects(&closed, &closed, OBJECTS);
        clear_stack();
        collect(1);
        dlclose(closed.handle);
        int calls = LOAD(&closed_calls);
        collect(1);
        usleep(1000);
        if (LOAD(&closed_calls) != calls) fail("a cleanup of a closed object was called", i);
    }
}

/* A callback of the loader's list holds the loader's lock while it allocates, which sweeps, which
 * needs the lock of the cleanups; dlclose looks through the cleanups. */
static int callback_on;

static int on_object(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)info, (void)size, (void)arg;
    for (int i = 0; i < 200; i++)
        mound_add_cleanup(mound_new(struct item), own_cleanup, &own_calls);
    return 0;
}

static void *callback_main(void *arg) {
    while (LOAD(&callback_on)) {
        dl_iterate_phdr(on_object, arg);
        usleep(1000); /* the loader's lock goes to whoever is awake */
    }
    return NULL;
}

static void test_callback(void) {
    pthread_t thread;
    STORE(&callback_on, 1);
    pthread_create(&thread, NULL, callback_main, NULL);
    for (int i = 0; i < 100; i++) {
        plugin p = open_plugin("plain");
        drop_objects(&p, &p, 20);
        mound_gc();
        dlclose(p.handle);
    }
    STORE(&callback_on, 0);
    pthread_join(thread, NULL);
}

/* A callback allocates so much that the library wants its threads, while a dlopen waits for the
 * loader's lock. */
static int on_first_object(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)info, (void)size, (void)arg;
    STORE(&phase, 1);
    usleep(200000); /* the other thread is in dlopen by now */
    for (int i = 0; i < 400; i++) mound_add_cleanup(mound_alloc(20000), own_cleanup, &own_calls);
    return 1;
}

static void *starter_main(void *arg) {
    dl_iterate_phdr(on_first_object, arg);
    return NULL;
}

static void test_starter(void) {
    pthread_t thread;
    alarm(20);
    pthread_create(&thread, NULL, starter_main, NULL);
    await(1);
    plugin p = open_plugin("plain");
    pthread_join(thread, NULL);
    dlclose(p.handle);
}

/* ---------------------------------------------------------------- types */

__attribute__((noinline)) static struct wide *wide_of_plugin(const plugin *p, int seed) {
    return p->wide(seed);
}

static void test_types(void) {
    struct wide *kept[200];
    for (int i = 0; i < 200; i++) {
        plugin p = open_plugin("plain");
        kept[i] = wide_of_plugin(&p, i);
        dlclose(p.handle);
        if (i % 20 == 0) collect(1);
    }
    clear_stack();
    collect(3);
    int (*ok)(const struct item *, int) = NULL;
    plugin p = open_plugin("plain");
    *(void **)&ok = dlsym(p.handle, "plugin_chain_ok");
    for (int i = 0; i < 200; i++)
        if (!ok(kept[i]->near, i) || !ok(kept[i]->far, i + 1)) fail("a reference was lost", i);
    dlclose(p.handle);
}

/* ---------------------------------------------------------------- reuse */

static plugin small;

static void *touching_main(void *arg) {
    (void)arg;
    small.touch_local(); /* now it has a small block under that number */
    STORE(&phase, 1);
    await(2);
    return NULL;
}

static void test_reuse(void) {
    enum { THREADS = 4 };
    pthread_t thread[THREADS];
    small = open_plugin("plain");
    for (int i = 0; i < THREADS; i++) {
        STORE(&phase, 0);
        pthread_create(&thread[i], NULL, touching_main, NULL);
        await(1);
    }
    dlclose(small.handle);
    plugin huge = open_plugin("huge_tls"); /* the same number, a thousand times the size */
    huge.set(1);
    clear_stack();
    collect(5);
    if (huge.check(1) != 0) fail("a reference was lost", huge.check(1));
    STORE(&phase, 2);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
}

/* ---------------------------------------------------------------- first */

static void test_first(void) {
    char path[4096];
    snprintf(path, sizeof path, "%s/last_words.so", dir);
    void *handle = dlopen(path, RTLD_NOW);
    if (!handle) fail(dlerror(), 0);
    dlclose(handle); /* its destructor allocates: mound starts in the middle of dlclose */
    for (int i = 0; i < 20; i++) mound_add_cleanup(mound_new(struct item), own_cleanup, &own_calls);
    clear_stack();
    for (int i = 0; i < 2000 && LOAD(&own_calls) == 0; i++) {
        collect(1);
        usleep(1000);
    }
    if (own_calls == 0) fail("cleanups never run after that", 0);
}

/* ---------------------------------------------------------------- fork */

static int reloading;

static void *reload_main(void *arg) {
    while (LOAD(&reloading)) {
        plugin p = open_plugin("plain");
        drop_objects(&p, &p, 50);
        dlclose(p.handle);
    }
    return arg;
}

static void in_child(void) {
    alarm(20);
    mound_gc();   /* asks the loader */
    usleep(3000); /* cleanups run */
    _exit(0);
}

static void test_fork(void) {
    pthread_t thread;
    STORE(&reloading, 1);
    pthread_create(&thread, NULL, reload_main, NULL);
    time_t end = time(NULL) + 8; /* on a busy machine each fork takes long */
    for (int i = 0; i < 200 && (i < 20 || time(NULL) < end); i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) in_child();
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
        if (WIFSIGNALED(status)) fail("the child was ended by signal", WTERMSIG(status));
        if (status != 0) fail("the child ended with", WEXITSTATUS(status));
    }
    STORE(&reloading, 0);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*fn)(void);
    } tests[] = {
        {"roots", test_roots},       {"load", test_load},         {"constructor", test_constructor},
        {"cleanups", test_cleanups}, {"callback", test_callback}, {"starter", test_starter},
        {"types", test_types},       {"reuse", test_reuse},       {"first", test_first},
        {"fork", test_fork}};
    if (argc < 3) return 9;
    dir = argv[2];
    alarm(60);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        if (strcmp(argv[1], tests[i].name) != 0) continue;
        tests[i].fn();
        return 0;
    }
    return 9;
}
