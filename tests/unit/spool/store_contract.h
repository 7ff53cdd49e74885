/*
 * What spool/store.h promises, as tests that run over every store: each store's test gives a way to
 * open it anew on the same bytes.
 */
#pragma once

#include "../unit.h"

#include "spool/store.h"

struct store_contract {
    struct store *(*open)(void *arg);
    void *arg;
};

/* Runs all of it on an empty lane; the lane is not empty afterwards. Asserts by cmocka. */
void store_contract_run(const struct store_contract *contract);
