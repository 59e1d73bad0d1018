"""Training on the sphere at a fixed effective learning rate: ``sphere.sweep(...)``, ``python -m sde_si.sphere``."""

from sde_si.sphere.course import Course, Setting, courses
from sde_si.sphere.sweep import Point, Sweep, sweep
from sde_si.sphere.threshold import Bracket, Line, bisect, line

__all__ = ["Bracket", "Course", "Line", "Point", "Setting", "Sweep", "bisect", "courses", "line", "sweep"]
