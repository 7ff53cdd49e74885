#include "base/list.h"

#include "../unit.h"

struct element {
    struct list link;
    char name;
};

static void assert_names(struct list *head, const char *names)
{
    LIST_EACH(head, link)
    assert_int_equal(CONTAINER_OF(link, struct element, link)->name, *names++);
    assert_int_equal(*names, '\0');
    for (struct list *link = head->prev; link != head; link = link->prev)
        assert_int_equal(CONTAINER_OF(link, struct element, link)->name, *--names);
}

static void all_of_a_list_goes_behind_another(void **state)
{
    struct element elements[] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}};
    struct list from, to, zeroed = {NULL, NULL};

    list_init(&from);
    list_init(&to);
    list_move_all(&from, &to);
    list_move_all(&zeroed, &to);
    assert_names(&to, "");
    list_append(&to, &elements[0].link);
    list_append(&from, &elements[1].link);
    list_append(&from, &elements[2].link);
    list_move_all(&from, &to);
    assert_true(list_is_empty(&from));
    assert_names(&to, "abc");
    list_move_all(&to, &from);
    assert_names(&to, "");
    assert_names(&from, "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_of_a_list_goes_behind_another)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
