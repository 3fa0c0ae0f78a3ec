/* TN_EXPORT marks what the shared library shows; everything else is hidden. */
#ifndef TENURE_EXPORT_H
#define TENURE_EXPORT_H

#if defined(__GNUC__)
#define TN_EXPORT __attribute__((visibility("default")))
#else
#define TN_EXPORT
#endif

#endif
