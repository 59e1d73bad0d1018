"""Training on the sphere at a fixed effective learning rate: ``sphere.sweep(...)``, ``python -m sde_si.sphere``."""

from sde_si.sphere.course import Course, courses
from sde_si.sphere.setting import Setting
from sde_si.sphere.survey import Point, Survey, sweep
from sde_si.sphere.threshold import Bracket, Line, bisect, line

__all__ = ["Bracket", "Course", "Line", "Point", "Setting", "Survey", "bisect", "courses", "line", "sweep"]
