/* closing.h - dlclose and fork keep apart. Floor gc.
 *
 * A child that is forked while another thread is in dlclose has the loader's lock taken for ever,
 * and cleanups whose code is unmapped.
 */
#ifndef MO_CLOSING_H
#define MO_CLOSING_H

/* Around a dlclose; may nest in one thread (an object's destructors may close others, or fork). */
void mo_closing_begin(void);
void mo_closing_end(void);

/* Around a fork: waits for the dlcloses of other threads, and holds new ones up. At most a second:
 * a destructor may be waiting for the very thread that forks. */
void mo_closing_fork_begin(void);
void mo_closing_fork_end(void);
void mo_closing_fork_end_in_child(void);

#endif
