"""What the fail-over test runs under a lease: says, on the shared clock, that it acts.

    holder.py JOURNAL

Appends a line "CLOCK TOKEN PID" again and again, until it is ended.
"""
import os
import sys
import time

with open(sys.argv[1], "a", buffering=1) as journal:
    mark = f" {os.environ['TENURE_TOKEN']} {os.getpid()}\n"
    while True:
        journal.write(str(time.clock_gettime(time.CLOCK_BOOTTIME)) + mark)
        time.sleep(0.003)
