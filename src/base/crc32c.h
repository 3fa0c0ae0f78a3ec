/* CRC-32C (Castagnoli), the checksum of every frame and every durable record. */
#ifndef TN_BASE_CRC32C_H
#define TN_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continue `crc` (0 to begin) over `length` bytes. tn__crc32c(0, "123456789", 9) is 0xe3069283. */
uint32_t tn__crc32c(uint32_t crc, const void *bytes, size_t length);

/* The sum of two parts laid end to end, from the sum of each; `length` is that of the second. Takes
 * about as long as summing 8 KiB, whatever the length. */
uint32_t tn__crc32c_combine(uint32_t first, uint32_t second, uint64_t length);

/* The same by table, whatever the processor offers: what tests compare the fast path with. */
uint32_t tn__crc32c_portable(uint32_t crc, const void *bytes, size_t length);

#endif
