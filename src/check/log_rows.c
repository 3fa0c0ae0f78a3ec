/* The configurations of the log's exploration: log_rows.h tells what a row is. */
#include "check/log_rows.h"

#include <stddef.h>
#include <string.h>

#define SIZE(n, p, b, s, a)                                                                        \
    .nodes = (n), .proposers = (p), .ballots = (b), .slots = (s), .window = (a)
#define FREE_MODE .attempts = {{0, 1, 0, 1}, {0, 1, 1, 2}, {0, 2, 0, 1}, {0, 2, 1, 2}}
/* Tenure 1 of the first, tenure 2 of the second. */
#define LEASED_MODE .attempts = {{1, 1, 0, 1}, {1, 2, 0, 1}, {2, 1, 1, 2}, {2, 2, 1, 2}}
#define TWINS .attempts = {{0, 1, 0, 1}, {0, 1, 1, 1}, {0, 2, 0, 1}, {0, 2, 1, 1}}
#define FOLLOW TN_EXPLORE_LOG_FOLLOW
#define FETCH TN_EXPLORE_LOG_FETCH
#define LEARN (FOLLOW | FETCH)
#define WRITES TN_EXPLORE_LOG_WRITES
#define POWER TN_EXPLORE_LOG_POWER
#define KILL TN_EXPLORE_LOG_KILL

/* clang-format off */
static const struct tn__explore_log_config rows[] = {
    {"log-race", "two proposers, one slot, an attempt each",
     SIZE(3, 2, 2, 1, 1), .page = 3, .voters = 7, FREE_MODE,
     .features = LEARN, .seconds = 1},
    {"log-three-attempts", "one slot, three attempts",
     SIZE(3, 2, 3, 1, 1), .page = 3, .voters = 7, FREE_MODE,
     .features = LEARN, .seconds = 1},
    {"log-four-attempts", "one slot, four attempts",
     SIZE(3, 2, 4, 1, 1), .page = 3, .voters = 7, FREE_MODE,
     .features = LEARN, .seconds = 1},
    {"log-two-slots", "two slots at once, an attempt each",
     SIZE(3, 2, 2, 2, 2), .page = 3, .voters = 7, FREE_MODE,
     .features = LEARN, .seconds = 1},
    {"log-two-slots-retry", "two slots at once, three attempts",
     SIZE(3, 2, 3, 2, 2), .page = 3, .voters = 7, FREE_MODE,
     .features = LEARN, .seconds = 2},
    {"log-three-slots", "three slots, two at once",
     SIZE(3, 2, 2, 3, 2), .page = 3, .voters = 7, FREE_MODE,
     .features = LEARN, .seconds = 1},
    {"log-three-slots-retry", "three slots, two at once, three attempts",
     SIZE(3, 2, 3, 3, 2), .page = 3, .voters = 7, FREE_MODE,
     .features = LEARN, .seconds = 20},
    {"log-pages", "promises of three slots, an entry a page",
     SIZE(3, 2, 2, 3, 3), .page = 1, .voters = 7, FREE_MODE,
     .features = LEARN, .seconds = 3},
    {"log-pages-retry", "two slots, an entry a page, three attempts",
     SIZE(3, 2, 3, 2, 2), .page = 1, .voters = 7, FREE_MODE,
     .features = LEARN, .seconds = 2},
    {"log-leased", "two tenures, the old one's owner still believes",
     SIZE(3, 2, 3, 2, 2), .page = 3, .voters = 7, LEASED_MODE,
     .features = LEARN, .seconds = 2},
    {"log-leased-four", "two tenures of two attempts, one slot",
     SIZE(3, 2, 4, 1, 1), .page = 3, .voters = 7, LEASED_MODE,
     .features = LEARN, .seconds = 1},
    {"log-twin", "two nodes with one id: a copied directory",
     SIZE(3, 2, 3, 1, 1), .page = 3, .voters = 7, TWINS,
     .features = LEARN, .seconds = 1},
    {"log-four-voters", "four voters",
     SIZE(4, 2, 2, 2, 2), .page = 3, .voters = 15, FREE_MODE,
     .features = LEARN, .seconds = 2},
    {"log-five-voters", "five voters",
     SIZE(5, 2, 2, 1, 1), .page = 3, .voters = 31, FREE_MODE,
     .features = LEARN, .seconds = 1},
    {"log-five-two-slots", "five voters, two slots",
     SIZE(5, 2, 2, 2, 2), .page = 3, .voters = 31, FREE_MODE,
     .features = LEARN, .seconds = 200},
    {"log-crash", "writes at once, nodes restart",
     SIZE(3, 2, 3, 2, 2), .page = 3, .voters = 7, FREE_MODE, .crashes = 1,
     .features = LEARN | POWER, .seconds = 8},
    {"log-power", "writes are events, power is lost",
     SIZE(3, 2, 2, 1, 1), .page = 3, .voters = 7, FREE_MODE, .crashes = 2,
     .features = LEARN | WRITES | POWER, .seconds = 1},
    {"log-power-retry", "writes are events, power is lost: three attempts",
     SIZE(3, 2, 3, 1, 1), .page = 3, .voters = 7, FREE_MODE, .crashes = 1,
     .features = LEARN | WRITES | POWER, .seconds = 4},
    {"log-power-two-slots", "writes are events, power is lost: two slots",
     SIZE(3, 2, 2, 2, 2), .page = 3, .voters = 7, FREE_MODE, .crashes = 1,
     .features = LEARN | WRITES | POWER, .seconds = 12},
    {"log-kill", "W3: killed, then without power",
     SIZE(3, 2, 2, 1, 1), .page = 3, .voters = 7, FREE_MODE, .crashes = 2,
     .features = LEARN | WRITES | POWER | KILL, .seconds = 1},
    {"log-kill-retry", "W3: three attempts",
     SIZE(3, 2, 3, 1, 1), .page = 3, .voters = 7, FREE_MODE, .crashes = 2,
     .features = LEARN | WRITES | POWER | KILL, .seconds = 15},
    {"log-kill-two-slots", "W3: two slots",
     SIZE(3, 2, 2, 2, 2), .page = 3, .voters = 7, FREE_MODE, .crashes = 2,
     .features = LEARN | WRITES | POWER | KILL, .seconds = 70},
    {"log-change", "N2, G2: three voters become others, one stays; alpha 1",
     SIZE(5, 2, 2, 2, 1), .page = 3, .voters = 7, .voters_next = 28, FREE_MODE,
     .features = LEARN, .seconds = 20},
    {"log-change-two-stay", "N2, G2: one voter is replaced; alpha 1",
     SIZE(4, 2, 2, 3, 1), .page = 3, .voters = 7, .voters_next = 14, FREE_MODE,
     .features = LEARN, .seconds = 90},
    {"log-change-retry", "N2, G2: three voters become one other, three attempts",
     SIZE(4, 2, 3, 2, 1), .page = 3, .voters = 7, .voters_next = 8, FREE_MODE,
     .features = LEARN, .seconds = 25},
    {"log-change-asked-early", "N2, G2: the new voters are asked before they vote",
     SIZE(4, 2, 2, 2, 1), .page = 3, .voters = 7, .voters_next = 14, FREE_MODE,
     .features = LEARN | TN_EXPLORE_LOG_PREPARE, .seconds = 20},
    {"log-change-crash", "N2, G2: a change, a restart",
     SIZE(4, 2, 2, 2, 1), .page = 3, .voters = 7, .voters_next = 8, FREE_MODE, .crashes = 1,
     .features = LEARN | POWER, .seconds = 15},
    {"log-change-window-2", "N2, G2: three voters become one other; alpha 2",
     SIZE(4, 2, 2, 3, 2), .page = 3, .voters = 7, .voters_next = 8, FREE_MODE,
     .features = LEARN, .seconds = 80},
};
/* clang-format on */

#define ROWS_COUNT (sizeof(rows) / sizeof(rows[0]))

bool tn__explore_log_config_at(uint32_t index, struct tn__explore_log_config *config)
{
    if (index >= ROWS_COUNT) {
        return false;
    }
    *config = rows[index];
    return true;
}

bool tn__explore_log_config_find(const char *name, struct tn__explore_log_config *config)
{
    for (uint32_t i = 0; tn__explore_log_config_at(i, config); i++) {
        if (strcmp(config->name, name) == 0) {
            return true;
        }
    }
    return false;
}
