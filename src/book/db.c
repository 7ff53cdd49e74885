#include "book/db.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_bool reads_around;
static _Thread_local int write_error; /* errno of the last write that failed */

void db_read_around(bool on)
{
    atomic_store(&reads_around, on);
}

/* -EUCLEAN stands for "this file is damaged" everywhere in the book: such a file is set aside. BUSY
 * and full disks pass, so they must never become it. */
int db_errno(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
        return -EUCLEAN;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return -EBUSY;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_READONLY:
        return code == SQLITE_READONLY_CANTINIT ? -EROFS : -EACCES;
    case SQLITE_CANTOPEN:
        return -ENOENT;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_IOERR:
        if (code == SQLITE_IOERR_SHMSIZE && write_error == ENOSPC)
            return -ENOSPC;
        if (code != SQLITE_IOERR_READ)
            return -EIO;
        return atomic_load(&reads_around) ? -EUCLEAN : -EREMOTEIO;
    default:
        return -EINVAL;
    }
}

/* Why a file can't be opened is known to the system: too many open ones aren't a missing one. */
static int errno_of(sqlite3 *handle, int code)
{
    int error = handle && (code & 0xff) == SQLITE_CANTOPEN ? sqlite3_system_errno(handle) : 0;

    if (handle && code == SQLITE_IOERR) /* an opening that fails says no more */
        code = sqlite3_extended_errcode(handle);
    return error ? -error : db_errno(code);
}

/* Called where something has failed: never 0. */
int db_error(const struct db *db)
{
    int r = db->handle ? errno_of(db->handle, sqlite3_extended_errcode(db->handle)) : -ENOMEM;
    return r ? r : -EINVAL;
}

bool db_is_unreadable(int error)
{
    return error == -EUCLEAN || error == -EREMOTEIO || error == -EIO;
}

int db_plain_error(int error)
{
    return error == -EREMOTEIO ? -EIO : error;
}

/* A path as a URI: everything but letters, digits and a few marks in percent form. Two slashes at
 * the start would announce a host. */
static char *uri_of(const char *path, const char *query)
{
    char *uri = malloc(strlen(path) * 3 + strlen(query) + 8);
    char *to = uri;

    if (!uri)
        return NULL;
    while (path[0] == '/' && path[1] == '/')
        path++;
    to += sprintf(to, "file:");
    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
                     (*p >= 'A' && *p <= 'Z') || strchr("/-._", *p);
        to += plain ? sprintf(to, "%c", *p) : sprintf(to, "%%%02x", *p);
    }
    strcpy(to, query);
    return uri;
}

/* A busy time-out of five seconds: the only other writer is a checkpoint of the same file. On
 * failure a handle may be there, which knows why. */
static int open_uri(const char *path, const char *query, int flags, sqlite3 **out)
{
    char *uri = uri_of(path, query);
    if (!uri)
        return SQLITE_NOMEM;
    int code = sqlite3_open_v2(uri, out, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    free(uri);
    if (code == SQLITE_OK) {
        sqlite3_extended_result_codes(*out, 1);
        sqlite3_busy_timeout(*out, 5000);
    }
    return code;
}

/* Opening reads nothing; the first statement does, and finds a missing -shm or a file that isn't
 * one of SQLite's. */
static int probe(sqlite3 *handle)
{
    return sqlite3_exec(handle, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
}

/* What a writer that was killed has committed lies in the -wal, perhaps alone. */
static bool has_log(const char *path)
{
    char wal[4200];
    struct stat st;

    return snprintf(wal, sizeof(wal), "%s-wal", path) >= (int)sizeof(wal) ||
           (stat(wal, &st) == 0 && st.st_size > 0);
}

/* Can't the -shm be made for want of a right, and not of descriptors or the like? */
static bool is_barred(sqlite3 *handle, int code)
{
    int error = handle ? sqlite3_system_errno(handle) : 0;

    return (code & 0xff) == SQLITE_READONLY || error == 0 || error == EACCES || error == EPERM ||
           error == EROFS || error == ENOENT;
}

/* A file in WAL mode needs its -shm file beside it. When no writer left one and we may not make
 * one, nobody is writing either, and the file can be read as it is, but for what its -wal has. */
static int open_for_reading(const char *path, sqlite3 **out)
{
    int code = open_uri(path, "?mode=ro", SQLITE_OPEN_READONLY, out);
    if (code == SQLITE_OK)
        code = probe(*out);
    if (code == SQLITE_OK || access(path, R_OK) < 0)
        return code;
    if ((code & 0xff) != SQLITE_CANTOPEN && (code & 0xff) != SQLITE_READONLY)
        return code;
    if (has_log(path))
        return is_barred(*out, code) ? SQLITE_READONLY_CANTINIT : code;
    sqlite3_close(*out);
    *out = NULL;
    code = open_uri(path, "?mode=ro&immutable=1", SQLITE_OPEN_READONLY, out);
    return code == SQLITE_OK ? probe(*out) : code;
}

/* The -wal and -shm files stay when the last connection closes, so that a reader without the right
 * to make them can still open the file. FULL: a commit is synced when it returns, for the log
 * before it may be recycled then. */
static int open_for_writing(const char *path, sqlite3 **out)
{
    int persist = 1;
    int code = open_uri(path, "?mode=rwc", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, out);

    if (code == SQLITE_OK)
        code =
            sqlite3_exec(*out,
                         "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                         "PRAGMA journal_size_limit=67108864; PRAGMA wal_autocheckpoint=4000;"
                         "PRAGMA cache_size=-8192; PRAGMA temp_store=MEMORY",
                         NULL, NULL, NULL);
    if (code == SQLITE_OK)
        sqlite3_file_control(*out, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    return code;
}

/* ---- reads that fail ---- */

/* EIO, ENXIO and ERANGE of a read SQLite takes for a damaged file (SQLITE_IOERR_CORRUPTFS, which it
 * tells as SQLITE_CORRUPT), any other error for what it is. */
static ssize_t tell_read(ssize_t n)
{
    if (n < 0 && (errno == EIO || errno == ENXIO || errno == ERANGE))
        errno = EREMOTEIO;
    return n;
}

static ssize_t read_next(int fd, void *to, size_t size)
{
    return tell_read(read(fd, to, size));
}

static ssize_t read_at(int fd, void *to, size_t size, off_t at)
{
    return tell_read(pread(fd, to, size, at));
}

/* ---- writes that fail ---- */

/* Of a write SQLite knows one cause only that is no trouble of the disk's, and none of one to the
 * -shm: whether that gets no room or fails is known here alone. */
static ssize_t tell_write(ssize_t n)
{
    if (n < 0 && errno == EDQUOT)
        errno = ENOSPC;
    if (n < 0)
        write_error = errno;
    return n;
}

static ssize_t write_next(int fd, const void *from, size_t size)
{
    return tell_write(write(fd, from, size));
}

static ssize_t write_at(int fd, const void *from, size_t size, off_t at)
{
    return tell_write(pwrite(fd, from, size, at));
}

/* It reads and writes by one of these each, as it was compiled. */
static void watch_calls(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

    vfs->xSetSystemCall(vfs, "read", (sqlite3_syscall_ptr)read_next);
    vfs->xSetSystemCall(vfs, "pread", (sqlite3_syscall_ptr)read_at);
    vfs->xSetSystemCall(vfs, "pread64", (sqlite3_syscall_ptr)read_at);
    vfs->xSetSystemCall(vfs, "write", (sqlite3_syscall_ptr)write_next);
    vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)write_at);
    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)write_at);
}

/* Statistics of its memory, which nobody reads, cost a lock for each piece. sqlite3_config() has an
 * effect only before the first connection of the process: hence here. Without memory nothing is
 * ready, and the next opening tries again. */
static int start(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool is_ready;
    int code = SQLITE_OK;

    pthread_mutex_lock(&lock);
    if (!is_ready) {
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
        code = sqlite3_initialize();
        is_ready = code == SQLITE_OK;
        if (is_ready)
            watch_calls();
    }
    pthread_mutex_unlock(&lock);
    return db_errno(code);
}

int db_open(const char *path, enum db_mode mode, const char *const *sql, size_t sql_count,
            struct db *out)
{
    struct db db = {0};
    int code, r = start();

    *out = db; /* for db_done() */
    if (r < 0)
        return r;
    if (mode == DB_READ && access(path, F_OK) < 0)
        return -errno;
    code =
        mode == DB_READ ? open_for_reading(path, &db.handle) : open_for_writing(path, &db.handle);
    if (code != SQLITE_OK) {
        r = errno_of(db.handle, code);
        sqlite3_close(db.handle);
        return r;
    }
    if (db_share(&db, sql, sql_count, out) < 0) {
        sqlite3_close(db.handle);
        return -ENOMEM;
    }
    return 0;
}

void db_done(struct db *db)
{
    sqlite3 *handle = db->handle;

    db_unshare(db);
    sqlite3_close(handle);
}

/* Another module's statements on the same connection: they are in the same transaction. */
int db_share(const struct db *db, const char *const *sql, size_t sql_count, struct db *out)
{
    *out = (struct db){.handle = db->handle, .sql = sql, .statement_count = sql_count};
    out->statements = calloc(sql_count ? sql_count : 1, sizeof(*out->statements));
    return out->statements ? 0 : -ENOMEM;
}

void db_unshare(struct db *db)
{
    for (size_t i = 0; db->statements && i < db->statement_count; i++)
        sqlite3_finalize(db->statements[i]);
    free(db->statements);
    *db = (struct db){0};
}

int db_exec(struct db *db, const char *sql)
{
    return db_errno(sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

/* Prepared at first use and kept. Bindings are cleared: one that is left over points to memory that
 * may be gone (SQLITE_STATIC). */
sqlite3_stmt *db_statement(struct db *db, unsigned index)
{
    sqlite3_stmt **slot = &db->statements[index];

    if (*slot) {
        sqlite3_reset(*slot);
        sqlite3_clear_bindings(*slot);
        return *slot;
    }
    if (sqlite3_prepare_v3(db->handle, db->sql[index], -1, SQLITE_PREPARE_PERSISTENT, slot, NULL) !=
        SQLITE_OK)
        return NULL;
    return *slot;
}

/* Reset at the end as after an error: a statement that is left in the middle holds a read
 * transaction, and the log of SQLite grows behind it. */
int db_step(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return 1;
    sqlite3_reset(statement);
    return db_errno(code);
}

int db_run(sqlite3_stmt *statement)
{
    int r;
    do
        r = db_step(statement);
    while (r > 0);
    return r;
}

int db_number(struct db *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *statement;

    if (sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL) != SQLITE_OK)
        return db_error(db);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? 0 : code == SQLITE_DONE ? -ENOENT : db_errno(code);
}

/* A span without data is NULL, "not known"; one that is empty is an empty text. Nothing is copied,
 * so it must live until the statement has run. */
void db_bind_text(sqlite3_stmt *statement, int index, struct span text)
{
    if (text.data)
        sqlite3_bind_text64(statement, index, text.data, text.size, SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_bind_null(statement, index);
}

void db_bind_blob(sqlite3_stmt *statement, int index, const void *data, size_t size)
{
    sqlite3_bind_blob64(statement, index, data, size, SQLITE_STATIC);
}

void db_bind_int_or_null(sqlite3_stmt *statement, int index, int64_t value, int64_t none)
{
    if (value == none)
        sqlite3_bind_null(statement, index);
    else
        sqlite3_bind_int64(statement, index, value);
}

/* As a blob, whatever its type: text in the book is bytes that a stranger sent, and SQLite doesn't
 * look at them. Borrowed until the next step. */
struct span db_column(sqlite3_stmt *statement, int index)
{
    if (sqlite3_column_type(statement, index) == SQLITE_NULL)
        return (struct span){0};
    const void *data = sqlite3_column_blob(statement, index);
    int size = sqlite3_column_bytes(statement, index);
    return data ? span_of(data, (size_t)size) : SPAN(""); /* also without memory for it */
}

uint32_t db_column_or(sqlite3_stmt *statement, int index, uint32_t none)
{
    return sqlite3_column_type(statement, index) == SQLITE_NULL
               ? none
               : (uint32_t)sqlite3_column_int64(statement, index);
}

bool db_column_fixed(sqlite3_stmt *statement, int index, void *out, size_t size)
{
    struct span value = db_column(statement, index);

    memset(out, 0, size);
    if (value.size != size)
        return false;
    memcpy(out, value.data, size);
    return true;
}
