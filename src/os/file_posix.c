/* The file operations by system calls. A handle is a descriptor; nothing else is kept.
 *
 * Descriptors are close-on-exec, so that a command started by this process cannot keep a lock. A
 * name is always opened without following a symbolic link: the data directory holds none of ours.
 */
#define _GNU_SOURCE
#include "os/file_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tenure/error.h>

#include "base/assert.h"

/* The largest single transfer; the kernel's own limit is just below 2^31. */
#define TRANSFER_BYTES_MAX ((size_t)1 << 30)

int tn__file_posix_error(int number)
{
    switch (number) {
    case ENOENT:
        return TN_ERROR_NOT_FOUND;
    case ENOTDIR:
    case ENAMETOOLONG:
        return TN_ERROR_INVALID;
    case ENOSPC:
    case EDQUOT:
        return TN_ERROR_DISK_FULL;
    case EROFS:
    case EACCES:
    case EPERM:
        return TN_ERROR_READ_ONLY;
    case EWOULDBLOCK:
        return TN_ERROR_LOCKED;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return TN_ERROR_NO_MEMORY;
    default:
        return TN_ERROR_IO;
    }
}

/* Make the name of an open directory durable in its parent. */
static int sync_parent(int directory)
{
    int parent = openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0) {
        return tn__file_posix_error(errno);
    }
    int error = fsync(parent) == 0 ? TN_OK : tn__file_posix_error(errno);
    close(parent);
    return error;
}

static int posix_open_directory(void *context, const char *path, bool create, tn__file *directory)
{
    (void)context;
    bool made = create && mkdir(path, 0700) == 0;
    if (create && !made && errno != EEXIST) {
        return tn__file_posix_error(errno);
    }
    int fd;
    do {
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return tn__file_posix_error(errno);
    }
    /* One that was there may have been made by a process that died before this, so it is synced
     * again; if its parent is not ours to open, then neither was it ours to make. */
    int error = create ? sync_parent(fd) : TN_OK;
    if (error != TN_OK && (made || error != TN_ERROR_READ_ONLY)) {
        close(fd);
        return error;
    }
    *directory = fd;
    return TN_OK;
}

static int posix_list(void *context, tn__file directory, tn__file_visit visit, void *visitor)
{
    (void)context;
    /* A descriptor of its own: reading a directory moves the position of the open file. */
    int fd = openat((int)directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return tn__file_posix_error(errno);
    }
    DIR *stream = fdopendir(fd);
    if (stream == NULL) {
        int error = tn__file_posix_error(errno);
        close(fd);
        return error;
    }
    int error = TN_OK;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            error = errno != 0 ? tn__file_posix_error(errno) : TN_OK;
            break;
        }
        bool own = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (!own && !visit(visitor, entry->d_name)) {
            break;
        }
    }
    closedir(stream);
    return error;
}

static int posix_open(void *context, tn__file directory, const char *name, uint32_t mode,
                      tn__file *file)
{
    (void)context;
    tn_assert((mode & (TN_FILE_READ | TN_FILE_WRITE)) != 0);
    tn_assert(strchr(name, '/') == NULL);
    int flags = O_CLOEXEC | O_NOFOLLOW;
    if ((mode & TN_FILE_WRITE) == 0) {
        flags |= O_RDONLY;
    } else {
        flags |= (mode & TN_FILE_READ) != 0 ? O_RDWR : O_WRONLY;
    }
    flags |= (mode & TN_FILE_CREATE) != 0 ? O_CREAT : 0;
    flags |= (mode & TN_FILE_EXCLUSIVE) != 0 ? O_EXCL : 0;
    flags |= (mode & TN_FILE_DIRECT) != 0 ? O_DIRECT | O_DSYNC : 0;
    int fd;
    do {
        fd = openat((int)directory, name, flags, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return tn__file_posix_error(errno);
    }
    *file = fd;
    return TN_OK;
}

static void posix_close(void *context, tn__file file)
{
    (void)context;
    tn_assert(file >= 0);
    /* Never repeated: after EINTR the descriptor is gone on Linux, and may be another's already. */
    (void)close((int)file);
}

static int posix_size(void *context, tn__file file, uint64_t *bytes)
{
    (void)context;
    struct stat status;
    if (fstat((int)file, &status) != 0) {
        return tn__file_posix_error(errno);
    }
    if (!S_ISREG(status.st_mode)) {
        return TN_ERROR_IO;
    }
    *bytes = (uint64_t)status.st_size;
    return TN_OK;
}

/* An offset as the kernel takes it; -1 if it is none. */
static off_t checked_offset(uint64_t offset, size_t length)
{
    return offset > (uint64_t)INT64_MAX - length ? -1 : (off_t)offset;
}

static int posix_read(void *context, tn__file file, uint64_t offset, void *bytes, size_t length,
                      size_t *done)
{
    (void)context;
    length = length < TRANSFER_BYTES_MAX ? length : TRANSFER_BYTES_MAX;
    off_t at = checked_offset(offset, length);
    if (at < 0) {
        return TN_ERROR_INVALID;
    }
    ssize_t moved;
    do {
        moved = pread((int)file, bytes, length, at);
    } while (moved < 0 && errno == EINTR);
    if (moved < 0) {
        return tn__file_posix_error(errno);
    }
    *done = (size_t)moved;
    return TN_OK;
}

static int posix_write(void *context, tn__file file, uint64_t offset, const void *bytes,
                       size_t length, size_t *done)
{
    (void)context;
    length = length < TRANSFER_BYTES_MAX ? length : TRANSFER_BYTES_MAX;
    off_t at = checked_offset(offset, length);
    if (at < 0) {
        return TN_ERROR_INVALID;
    }
    ssize_t moved;
    do {
        moved = pwrite((int)file, bytes, length, at);
    } while (moved < 0 && errno == EINTR);
    if (moved < 0) {
        return tn__file_posix_error(errno);
    }
    *done = (size_t)moved;
    return TN_OK;
}

static int posix_truncate(void *context, tn__file file, uint64_t bytes)
{
    (void)context;
    off_t length = checked_offset(bytes, 0);
    if (length < 0) {
        return TN_ERROR_INVALID;
    }
    int status;
    do {
        status = ftruncate((int)file, length);
    } while (status != 0 && errno == EINTR);
    return status == 0 ? TN_OK : tn__file_posix_error(errno);
}

static int posix_sync(void *context, tn__file file)
{
    (void)context;
    int status;
    do {
        status = fsync((int)file);
    } while (status != 0 && errno == EINTR);
    return status == 0 ? TN_OK : tn__file_posix_error(errno);
}

static int posix_data_sync(void *context, tn__file file)
{
    (void)context;
    int status;
    do {
        status = fdatasync((int)file);
    } while (status != 0 && errno == EINTR);
    return status == 0 ? TN_OK : tn__file_posix_error(errno);
}

static int posix_allocate(void *context, tn__file file, uint64_t bytes)
{
    (void)context;
    off_t length = checked_offset(bytes, 0);
    if (length < 0) {
        return TN_ERROR_INVALID;
    }
    int status;
    do {
        status = fallocate((int)file, 0, 0, length);
    } while (status != 0 && errno == EINTR);
    if (status == 0 || errno != EOPNOTSUPP) {
        return status == 0 ? TN_OK : tn__file_posix_error(errno);
    }
    /* No reservations here (NFS, for one): the size at least, and the zeros will take the space. */
    uint64_t size = 0;
    int error = posix_size(context, file, &size);
    return error == TN_OK && size < bytes ? posix_truncate(context, file, bytes) : error;
}

static int posix_rename(void *context, tn__file directory, const char *from, const char *to)
{
    (void)context;
    tn_assert(strchr(from, '/') == NULL && strchr(to, '/') == NULL);
    return renameat((int)directory, from, (int)directory, to) == 0 ? TN_OK
                                                                   : tn__file_posix_error(errno);
}

static int posix_unlink(void *context, tn__file directory, const char *name)
{
    (void)context;
    tn_assert(strchr(name, '/') == NULL);
    return unlinkat((int)directory, name, 0) == 0 ? TN_OK : tn__file_posix_error(errno);
}

static int posix_lock(void *context, tn__file file)
{
    (void)context;
    int status;
    do {
        status = flock((int)file, LOCK_EX | LOCK_NB);
    } while (status != 0 && errno == EINTR);
    return status == 0 ? TN_OK : tn__file_posix_error(errno);
}

static const struct tn__file_operations posix_operations = {
    .open_directory = posix_open_directory,
    .list = posix_list,
    .open = posix_open,
    .close = posix_close,
    .size = posix_size,
    .read = posix_read,
    .write = posix_write,
    .truncate = posix_truncate,
    .sync = posix_sync,
    .data_sync = posix_data_sync,
    .allocate = posix_allocate,
    .sync_directory = posix_sync,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .lock = posix_lock,
};

struct tn__files tn__file_posix(void)
{
    return (struct tn__files){.operations = &posix_operations};
}
