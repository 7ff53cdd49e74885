#include "store_contract.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct store *open_folder(void *arg)
{
    struct store *store;
    int fd = open(arg, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(store_file_new(fd, &store), 0);
    return store;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void keeps_the_contract(void **state)
{
    char folder[] = "/tmp/spool-test-XXXXXX";
    struct store_contract contract = {open_folder, folder};

    (void)state;
    assert_non_null(mkdtemp(folder));
    store_contract_run(&contract);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_the_contract)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
