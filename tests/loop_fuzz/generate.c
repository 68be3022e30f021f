/* generate.c - prints NUM small loop functions made from SEED: `generate SEED NUM`.
 *
 * Each walks one or two arrays on the heap that only its locals refer to, and calls fuzz_call
 * before each access. All are valid C: a pointer stays within its array or one past its end (an
 * optimizer may make of `v - 3` what it likes, and then no collector can follow).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t state;

static unsigned below(unsigned n) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (unsigned)((state * 0x2545F4914F6CDD1Du) >> 33) % n;
}

static const char *const scalars[] = {"char", "short", "int", "long", "double", "unsigned"};
static const char *const indices[] = {"int", "long", "unsigned", "size_t"};
static const char *const signed_indices[] = {"int", "long"};
#define ONE_OF(a) (a[below(sizeof(a) / sizeof((a)[0]))])

/* Declares pointer name to an array of len elements of type. */
static void array(const char *type, const char *name, unsigned len) {
    printf("    %s *%s = fuzz_array(%u * sizeof(%s));\n    FUZZ_OPAQUE(%s);\n", type, name, len,
           type, name);
}

/* Declares n = value; half of the time the optimizer may know it. */
static void count(const char *type, unsigned value) {
    printf("    %s n = %u;\n", type, value);
    if (below(2)) printf("    FUZZ_OPAQUE(n);\n");
}

/* What is done to one element, named by an expression without side effects. */
static void access(const char *element) {
    switch (below(5)) {
    case 0: printf("s += %s;", element); break;
    case 1: printf("%s = s++;", element); break;
    case 2: printf("%s += 3;", element); break;
    case 3: printf("%s = %u;", element, below(100)); break;
    default: printf("s = s * 3 + %s;", element);
    }
}

/* The same, with the index i. */
static void access_i(const char *element) {
    switch (below(4)) {
    case 0: printf("%s = i + %u;", element, below(100)); break;
    case 1: printf("s += %s * (i + %u);", element, 1 + below(9)); break;
    default: access(element);
    }
}

static void one_function(unsigned number) {
    enum { FORMS = 18 };
    const char *type = ONE_OF(scalars), *index = ONE_OF(indices);
    unsigned form = below(FORMS), num = below(4) ? 17 + below(16) : 2 + below(7),
             step = 1 + below(4), off = below(4);
    unsigned len = (num - 1) * step + off + 1 + (below(3) == 0 ? below(3) : 0);
    char element[64];
    snprintf(element, sizeof element, "v[i * %u + %u]", step, off);
    printf("/* form %u */\nstatic long f%u(void) {\n    long s = 1;\n", form, number);
    switch (form) {
    case 0: /* upwards with a stride */
        array(type, "v", len);
        count(index, num);
        printf("    for (%s i = 0; i < n; i++) { fuzz_call(); ", index);
        access_i(element);
        printf(" }\n");
        break;
    case 1: /* downwards with a stride */
        index = ONE_OF(signed_indices);
        array(type, "v", len);
        count(index, num);
        printf("    for (%s i = n - 1; i >= 0; i--) { fuzz_call(); ", index);
        access_i(element);
        printf(" }\n");
        break;
    case 2: /* a moving pointer and a count */
        array(type, "v", num * step);
        count("long", num);
        printf("    %s *p = v;\n    while (n-- > 0) { fuzz_call(); s += *p * (n + 3); p += %u; }\n",
               type, step);
        break;
    case 3: /* from one past the end; the call comes first */
        array(type, "v", len);
        printf("    %s *p = v + %u;\n    while (p != v) { fuzz_call(); --p; ", type, len);
        access("*p");
        printf(" }\n");
        break;
    case 4: /* the same; the step comes first */
        array(type, "v", len);
        printf("    %s *p = v + %u;\n    while (p > v) { --p; fuzz_call(); ", type, len);
        access("*p");
        printf(" }\n");
        break;
    case 5: /* about the middle */
        array(type, "v", len);
        count("long", len - len / 2);
        printf("    %s *q = v + %u;\n    for (long i = -%u; i < n; i++) { fuzz_call(); ", type,
               len / 2, len / 2);
        access("q[i]");
        printf(" }\n");
        break;
    case 6: /* two arrays, one turned round */
        array(type, "v", num);
        array(ONE_OF(scalars), "w", num);
        count("long", num);
        printf("    for (long i = 0; i < n; i++) { fuzz_call(); w[i] = v[n - 1 - i]; }\n");
        break;
    case 7: /* nested */
        array(type, "v", num * step);
        count(index, num);
        printf(
            "    for (%s i = 0; i < n; i++)\n        for (%s j = 0; j < %u; j++) { fuzz_call(); ",
            index, index, step);
        snprintf(element, sizeof element, "v[i * %u + j]", step);
        access(element);
        printf(" }\n");
        break;
    case 8: /* to an end pointer */
        array(type, "v", num);
        count("long", num);
        printf("    for (%s *p = v, *end = v + n; p < end; p++) { fuzz_call(); ", type);
        access("*p");
        printf(" }\n");
        break;
    case 9: /* structures */
        array(below(2) ? "fuzz_pair" : "fuzz_triple", "v", len);
        count(index, num);
        printf("    for (%s i = 0; i < n; i++) { fuzz_call(); v[i * %u + %u].b += v[i * %u + %u].a "
               "+ 1; }\n",
               index, step, off, step, off);
        break;
    case 10: /* structures, downwards by pointer */
        array("fuzz_triple", "v", num);
        printf("    for (fuzz_triple *p = v + %u; p-- != v;) { fuzz_call(); p->c += p->a;%s }\n",
               num, " if (p == v) break;");
        break;
    case 11: /* until the end is passed */
        array(type, "v", len);
        count("long", len);
        printf("    long i = 0;\n    do { fuzz_call(); ");
        access_i("v[i]");
        printf(" i += %u; } while (i < n);\n", step);
        break;
    case 12: /* from both ends */
        array(type, "v", len);
        printf("    %s *lo = v, *hi = v + %u;\n    while (lo < hi) { fuzz_call(); %s t = *lo; "
               "*lo++ = *hi; *hi-- = t; }\n",
               type, len - 1, type);
        break;
    case 13: /* an unsigned count downwards */
        array(type, "v", num);
        count("unsigned", num);
        printf("    for (unsigned i = n; i-- > 0;) { fuzz_call(); ");
        access_i("v[i]");
        printf(" }\n");
        break;
    case 14: /* an index with a large offset */
        array(type, "v", num);
        count("long", num);
        printf("    for (long i = %u; i < n + %u; i++) { fuzz_call(); ", 1000 * step, 1000 * step);
        snprintf(element, sizeof element, "v[i - %u]", 1000 * step);
        access_i(element);
        printf(" }\n");
        break;
    case 15: /* two arrays with moving pointers */
        array(type, "v", num);
        array("long", "w", num);
        count("long", num);
        printf("    %s *p = v;\n    long *q = w + %u;\n    for (long i = 0; i < n; i++) { "
               "fuzz_call(); *--q = *p++ + i; }\n",
               type, num);
        break;
    case 16: /* several calls for one element */
        array(type, "v", len);
        count(index, num);
        printf("    for (%s i = 0; i < n; i++) { fuzz_call(); ", index);
        access_i(element);
        printf(" fuzz_call(); ");
        access_i(element);
        printf(" }\n");
        break;
    default: /* a triangle */
        array(type, "v", num * num);
        count("int", num);
        printf(
            "    for (int i = 0; i < n; i++)\n        for (int j = i; j < n; j++) { fuzz_call(); ");
        snprintf(element, sizeof element, "v[j * %u + i]", num);
        access(element);
        printf(" }\n");
    }
    printf("    return s;\n}\n");
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: generate SEED NUM\n"), 2;
    state = strtoull(argv[1], NULL, 0) * 0x9E3779B97F4A7C15u + 0xD1B54A32D192ED03u;
    unsigned num = (unsigned)atoi(argv[2]);
    printf("/* generate %s %u */\n#include \"loop_fuzz.h\"\n", argv[1], num);
    for (unsigned i = 0; i < num; i++) one_function(i);
    printf("const fuzz_case fuzz_cases[] = {\n");
    for (unsigned i = 0; i < num; i++) printf("    {\"f%u\", f%u},\n", i, i);
    printf("};\nconst int fuzz_num_cases = %u;\n", num);
    return 0;
}
