/* consumer.c - the smallest program that uses an installed mound. */
#include <mound.h>
#include <stdio.h>

int main(void) {
    int **cell = mound_new(int *);
    *cell = mound_new(int);
    **cell = 42;
    mound_gc();
    printf("mound %s: %d\n", mound_version(), **cell);
    return **cell == 42 ? 0 : 1;
}
