/* mark_start.pml - how a mark run wakes its helpers and waits for them (src/gc/mark.c).
 *
 * Runs follow each other; each wants some of the helpers, not always the same number. A helper
 * that is not wanted is woken too, and may look late: in the middle of a later run, or after it.
 * Futex waits are waits for the word to change.
 *
 * Checked: a helper works only in a run that goes on and wants it, once; the run ends when those
 * it wanted are done; `done` never goes below 0; every run ends.
 *
 * mutants: WANTED_APART DONE_LATE NOT_ALL_ASKED WORKS_UNASKED
 *
 *   WANTED_APART   the number of helpers wanted stands in a word of its own: a helper may read the
 *                  last run's number and the next one's wish, and then works twice in that run
 *   DONE_LATE      `done` is set after the helpers are woken
 *   NOT_ALL_ASKED  the run waits for one helper less
 *   WORKS_UNASKED  a helper does not look whether it is wanted
 */
#define HELPERS 2
#define RUNS 3

byte go_run, go_wanted; /* one word: the run's number, and how many helpers it wants */
#ifdef WANTED_APART
byte wanted;
#endif
short done;

/* What is checked. */
byte running;         /* the run that goes on, or 0 */
byte wish;            /* what it wants */
byte worked[HELPERS + 1]; /* the last run helper 1, 2, ... worked in */

active [HELPERS] proctype helper() {
    byte seen, my_wanted, id = _pid + 1;
end:
    do
    :: atomic { go_run != seen -> seen = go_run; my_wanted = go_wanted };
#ifdef WANTED_APART
       my_wanted = wanted;
#endif
#ifdef WORKS_UNASKED
       my_wanted = HELPERS;
#endif
       if
       :: id > my_wanted
       :: else ->
           atomic { assert(running != 0 && id <= wish && worked[id] != running); worked[id] = running };
           assert(running == worked[id]); /* the work: the run is still the same */
           atomic { done--; assert(done >= 0) }
       fi;
       my_wanted = 0
    od
}

active proctype runner() {
    byte num, n;
    do
    :: num == RUNS -> break
    :: else ->
        num++;
        select(n : 0 .. HELPERS);
        if
        :: n == 0
        :: else ->
            atomic { running = num; wish = n };
#ifndef DONE_LATE
            done = n;
#endif
#ifdef WANTED_APART
            wanted = n;
#endif
            atomic { go_run = num; go_wanted = n };
#ifdef DONE_LATE
            done = n;
#endif
#ifdef NOT_ALL_ASKED
            done <= 1;
#else
            done == 0;
#endif
            atomic { running = 0; wish = 0 }
        fi
    od;
    done == 0
}
