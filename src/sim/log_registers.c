/* Registers and counters; the header says all. */
#include "sim/log_registers.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

size_t tn__log_command_write(const struct tn__log_command *command, uint8_t *bytes)
{
    tn_assert(command->key < TN_LOG_REGISTERS);
    tn__put_u64(bytes, command->name);
    tn__put_u64(bytes + 8, command->argument);
    tn__put_u64(bytes + 16, command->expected);
    bytes[24] = command->kind;
    bytes[25] = command->key;
    tn__put_u16(bytes + 26, command->padding);
    tn__put_u32(bytes + 28, 0);
    for (uint32_t i = 0; i < command->padding; i++) {
        bytes[TN_LOG_COMMAND_BYTES + i] = (uint8_t)(command->name + i);
    }
    return TN_LOG_COMMAND_BYTES + (size_t)command->padding;
}

bool tn__log_command_read(struct tn__log_command *command, const void *bytes, size_t count)
{
    const uint8_t *from = bytes;
    if (count < TN_LOG_COMMAND_BYTES) {
        return false;
    }
    *command = (struct tn__log_command){
        .name = tn__get_u64(from),
        .argument = tn__get_u64(from + 8),
        .expected = tn__get_u64(from + 16),
        .kind = from[24],
        .key = from[25],
        .padding = tn__get_u16(from + 26),
    };
    if (command->key >= TN_LOG_REGISTERS || command->kind < TN_LOG_COMMAND_PUT ||
        command->kind > TN_LOG_COMMAND_ADD || count != TN_LOG_COMMAND_BYTES + command->padding) {
        return false;
    }
    uint8_t different = 0; /* looked at as a whole: many bytes at once */
    for (uint32_t i = 0; i < command->padding; i++) {
        different |= from[TN_LOG_COMMAND_BYTES + i] ^ (uint8_t)(command->name + i);
    }
    return different == 0;
}

uint64_t tn__log_registers_execute(struct tn__log_registers *registers,
                                   const struct tn__log_command *command)
{
    uint64_t *value = &registers->values[command->key];
    registers->executions++;
    switch (command->kind) {
    case TN_LOG_COMMAND_PUT:
        *value = command->argument;
        return 1;
    case TN_LOG_COMMAND_SWAP:
        if (*value != command->expected) {
            return 0;
        }
        *value = command->argument;
        return 1;
    default:
        tn_assert(command->kind == TN_LOG_COMMAND_ADD);
        registers->counters[command->key] += command->argument;
        return registers->counters[command->key];
    }
}
