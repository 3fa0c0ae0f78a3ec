/* The version of tenure: the only place where it stands. */
#ifndef TENURE_VERSION_H
#define TENURE_VERSION_H

#include <tenure/export.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TN_VERSION_MAJOR 0
#define TN_VERSION_MINOR 1
#define TN_VERSION_PATCH 0
#define TN_VERSION_TEXT "0.1.0"

/* The version of the library that runs, "MAJOR.MINOR.PATCH". Static; never freed. */
TN_EXPORT const char *tn_version(void);

#ifdef __cplusplus
}
#endif

#endif
