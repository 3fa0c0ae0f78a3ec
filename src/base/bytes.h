/* Little-endian integers in byte buffers, read and written without alignment. */
#ifndef TN_BASE_BYTES_H
#define TN_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "big-endian machines are not supported");

static inline void tn__put_u16(uint8_t *bytes, uint16_t value)
{
    memcpy(bytes, &value, sizeof(value));
}

static inline void tn__put_u32(uint8_t *bytes, uint32_t value)
{
    memcpy(bytes, &value, sizeof(value));
}

static inline void tn__put_u64(uint8_t *bytes, uint64_t value)
{
    memcpy(bytes, &value, sizeof(value));
}

static inline uint16_t tn__get_u16(const uint8_t *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static inline uint32_t tn__get_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static inline uint64_t tn__get_u64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

/* Copy a short run of bytes, at least one, by words that may overlap. For lengths under about 100
 * that only run time knows, this beats what compilers make of memcpy (a string instruction:
 * measured at a tenth of a renewal). */
static inline void tn__copy_short(void *to, const void *from, uint32_t length)
{
    uint8_t *target = (uint8_t *)to;
    const uint8_t *source = (const uint8_t *)from;
    if (length < 8) {
        for (uint32_t i = 0; i < length; i++) {
            target[i] = source[i];
        }
        return;
    }
    for (uint32_t i = 0; i + 8 <= length; i += 8) {
        tn__put_u64(target + i, tn__get_u64(source + i));
    }
    tn__put_u64(target + length - 8, tn__get_u64(source + length - 8));
}

#endif
