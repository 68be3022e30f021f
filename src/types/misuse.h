/* misuse.h - a mistake of the program's that concerns its goroutines. Floor types. */
#ifndef MO_MISUSE_H
#define MO_MISUSE_H

#include "base/panic.h"

/* One line with the goroutine's number and name, its backtrace, and the end of the process. Not in
 * the runtime. */
MO_NORETURN MO_COLD void mo_misuse(const char *format, ...) MO_PRINTF(1, 2);

#endif
