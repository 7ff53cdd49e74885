/* The schema of the configuration file. */
#pragma once

#include "conf/conf.h"
#include "conf/schema.h"

/* What the reader walks the file by (conf/schema.h). The manual describes the same keys: a test
 * holds the two against each other. */
extern const struct conf_schema conf_file_schema;
