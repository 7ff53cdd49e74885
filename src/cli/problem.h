/* What is wrong with a configuration or the files that it names, as people read it. */
#pragma once

#include "conf/problem.h"

#include <stdio.h>

/* A line "FILE:LINE:COLUMN: error: text", coloured on a terminal. */
void cli_put_problem(FILE *to, const struct conf_problem *problem);
/* Of all these the errors only: warnings are check-config's to tell. */
void cli_put_errors(FILE *to, const struct conf_problems *problems);
