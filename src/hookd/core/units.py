"""Units: durations in seconds, sizes in bytes."""

from __future__ import annotations

SECOND = 1.0
MINUTE = 60.0
HOUR = 3600.0
DAY = 86400.0
KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
