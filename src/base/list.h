/*
 * Intrusive doubly linked lists: a link inside the element, a head that is a link too. An element
 * that is in no list has a NULL `next`; removing it then does nothing, so owners may always remove.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

/* A zeroed head counts as empty, so that a zeroed owner can be torn down. */
static inline bool list_is_empty(const struct list *head)
{
    return head->next == NULL || head->next == head;
}

static inline bool list_is_linked(const struct list *link)
{
    return link->next != NULL;
}

static inline void list_append(struct list *head, struct list *link)
{
    link->next = head;
    link->prev = head->prev;
    head->prev->next = link;
    head->prev = link;
}

/* In front of all: that is behind the head's next link seen the other way round. */
static inline void list_prepend(struct list *head, struct list *link)
{
    list_append(head->next, link);
}

static inline void list_remove(struct list *link)
{
    if (!link->next)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

/* The first link, taken out; NULL when there is none. */
static inline struct list *list_take_first(struct list *head)
{
    if (list_is_empty(head))
        return NULL;
    struct list *first = head->next;
    list_remove(first);
    return first;
}

/* All of `from`, in their order, behind what `to` has: for who goes through the list of this moment
 * while others come. */
static inline void list_move_all(struct list *from, struct list *to)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* Walks the list; `link` may be removed (only it) while walking. */
#define LIST_EACH(head, link)                                                                      \
    for (struct list *link = (head)->next, *next_of_##link = link->next; link != (head);           \
         link = next_of_##link, next_of_##link = link->next)
