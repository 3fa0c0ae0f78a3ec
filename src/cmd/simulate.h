/* The commands of tenure-sim. Each reads its own options from argv, of which argv[0] is its name,
 * and returns the program's status. */
#ifndef TN_CMD_SIMULATE_H
#define TN_CMD_SIMULATE_H

int tn__simulate_explore(int argc, char **argv);
int tn__simulate_run(int argc, char **argv);
int tn__simulate_play(int argc, char **argv);

#endif
