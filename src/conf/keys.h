/* The schema of the configuration file and its defaults. */
#pragma once

#include "conf/conf.h"
#include "conf/schema.h"

/* What the reader walks the file by (conf/schema.h). The manual describes the same keys: a test
 * holds the two against each other. */
extern const struct conf_schema conf_file_schema;

/* Sets what the file may leave out, before it is read. Texts are constants, durations in ms. */
void conf_set_defaults(struct conf *c);
