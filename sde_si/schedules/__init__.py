"""Schedules of learning rate, momentum and batch size.

A schedule is written ``NAME:ARGS``, with arguments separated by commas, by position or as ``key=value``, and
several joined by ``+``: their factors multiply. Times are in epochs. ``warm-up:5+multi-step:150,225`` warms up
for five epochs and divides by ten after epochs 150 and 225.
"""

from sde_si.schedules.functions import SCHEDULES, Change, Clock
from sde_si.schedules.timetable import Timetable, parse, usage

__all__ = ["SCHEDULES", "Change", "Clock", "Timetable", "parse", "usage"]
