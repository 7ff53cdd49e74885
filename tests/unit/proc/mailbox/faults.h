/*
 * Faults in system calls, for tests that are linked with --wrap=CALL: the n-th call of a kind fails
 * with an error, ends the process, (writev) writes less than it was given, or says that it did what
 * it never did.
 */
#pragma once

enum fault_call {
    FAULT_ANY, /* that changes the disk */
    FAULT_WRITEV,
    FAULT_FDATASYNC,
    FAULT_RENAMEAT2,
    FAULT_FSYNC,
    FAULT_READDIR,
    FAULT_FSTATAT,
    FAULT_CALL_COUNT
};

enum { FAULT_KILL = -1, FAULT_SHORT = -2, FAULT_LIE = -3 };

/* `what`: an errno or one of the above; from the `nth` call on, `times` times. */
void fault_set(enum fault_call call, int nth, int times, int what);
void fault_clear(void);
/* Called in front of the next fsync(), once. */
void fault_before_fsync(void (*fn)(void *arg), void *arg);
/* Calls since the last fault_set() or fault_clear(). */
int fault_calls(enum fault_call call);
