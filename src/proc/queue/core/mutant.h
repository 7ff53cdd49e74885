/*
 * Faults that tests/crash/fates builds in on purpose, each into a program of its own, to see that
 * it catches them. In the product QUEUE_MUTANT is MUTANT_NONE and the compiler drops every mention
 * of them.
 */
#pragma once

#define MUTANT_NONE 0
#define MUTANT_EARLY_REPLY 1     /* "accepted" before the seal is on disk */
#define MUTANT_HOLD_OVERTAKEN 2  /* who was held while his job was made ready is attempted */
#define MUTANT_UNANNOUNCED 3     /* an attempt begins sooner than the log says, unsaid */
#define MUTANT_DOUBT_FORGOTTEN 4 /* an end in good order, and a doubt was booked nowhere */
#define MUTANT_LOSS_UNDOUBTED 5  /* what a carrier had when it went counts as not tried */
#define MUTANT_RETURN_UNTOLD 6   /* a return is booked before its report is on disk */
#define MUTANT_OUTCOME_DROPPED 7 /* what the disk refused isn't given again */

#ifndef QUEUE_MUTANT
#define QUEUE_MUTANT MUTANT_NONE
#endif
