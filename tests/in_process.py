"""An executor for tests of `sde_si.tune`."""

from __future__ import annotations


class InProcess:
    """An executor of this process."""

    def submit(self, function, *arguments):
        from concurrent.futures import Future

        future = Future()
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)
        return future
