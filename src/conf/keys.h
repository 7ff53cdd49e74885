/* The schema of the configuration file and its defaults. */
#pragma once

#include "conf/conf.h"
#include "conf/schema.h"

extern const struct conf_schema conf_file_schema;

/* Sets what the file may leave out. */
void conf_set_defaults(struct conf *c);
