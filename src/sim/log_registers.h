/* The state machine of the simulated world: a few registers and counters, and their commands.
 *
 *   PUT   register := argument                              answers 1
 *   SWAP  if register == expected: register := argument     answers 1 if so, else 0
 *   ADD   counter += argument                               answers the new sum
 *
 * A command is 32 bytes and names itself, so that no two are equal. Plain data, two states are
 * equal if their bytes are. */
#ifndef TN_SIM_LOG_REGISTERS_H
#define TN_SIM_LOG_REGISTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TN_LOG_REGISTERS 4U
#define TN_LOG_COMMAND_BYTES 32U

/* The machine's id in the envelope. */
#define TN_LOG_REGISTERS_MACHINE 3U

enum tn__log_command_kind {
    TN_LOG_COMMAND_PUT = 1,
    TN_LOG_COMMAND_SWAP,
    TN_LOG_COMMAND_ADD,
};

struct tn__log_command {
    uint64_t name; /* of the command, never twice */
    uint64_t argument;
    uint64_t expected;
    uint8_t kind;     /* enum tn__log_command_kind */
    uint8_t key;      /* below TN_LOG_REGISTERS */
    uint16_t padding; /* so many more bytes follow the command */
    uint32_t reserved;
};

struct tn__log_registers {
    uint64_t values[TN_LOG_REGISTERS];
    uint64_t counters[TN_LOG_REGISTERS];
    uint64_t executions;
};

/* `bytes` has room for TN_LOG_COMMAND_BYTES + padding; returns the length. */
size_t tn__log_command_write(const struct tn__log_command *command, uint8_t *bytes);
bool tn__log_command_read(struct tn__log_command *command, const void *bytes, size_t count);

/* Execute; returns the answer. */
uint64_t tn__log_registers_execute(struct tn__log_registers *registers,
                                   const struct tn__log_command *command);

#endif
