/* tenure: who is in charge, and what was decided.
 *
 * lease.h is the pure machine for those who bring their own loop; node.h is the ready-made runtime.
 * Everything that is published is declared here; what is not here may change without notice. */
#ifndef TENURE_TENURE_H
#define TENURE_TENURE_H

#include <tenure/error.h>
#include <tenure/group.h>
#include <tenure/lease.h>
#include <tenure/limits.h>
#include <tenure/log.h>
#include <tenure/node.h>
#include <tenure/state_machine.h>
#include <tenure/types.h>
#include <tenure/version.h>

#endif
