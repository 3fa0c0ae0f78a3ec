/* The real file operations (store/file.h): one system call each, errors mapped, EINTR repeated. */
#ifndef TN_OS_FILE_POSIX_H
#define TN_OS_FILE_POSIX_H

#include "store/file.h"

/* The table, with the context it wants. */
struct tn__files tn__file_posix(void);

/* The error (tenure/error.h) that a number of errno stands for. */
int tn__file_posix_error(int number);

#endif
