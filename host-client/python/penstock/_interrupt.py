# SPDX-License-Identifier: MIT
"""Ctrl-C while the library waits: Python's signal handlers run, and what they
raise ends the call."""

import atexit
import ctypes
import threading

_ASK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
# What _library has loaded.
library = None
raised = []
# Of the main thread, which runs all handlers.
armed = False
_keep = None


def _answers():
    """Whether to end the call, again and again. The library resumes this
    within the try: Python runs pending handlers right there, where a function
    that it called would run them before its first line."""
    while True:
        try:
            while True:
                yield 1 if raised else 0
        except GeneratorExit:
            return
        except BaseException as e:
            raised.append(e)


def arm():
    """Let calls of the main thread ask, if this is it."""
    global armed, _keep
    if armed or threading.current_thread() is not threading.main_thread():
        return
    answers = _answers()
    next(answers)
    function = _ASK(answers.send)
    library.pst_set_interrupt(function, None)
    if _keep is None:
        # The interpreter ends before the library does.
        atexit.register(library.pst_set_interrupt, None, None)
    _keep = function
    armed = True


def check():
    """Raise what a handler raised while the last call waited."""
    global armed
    if raised and threading.current_thread() is threading.main_thread():
        first = raised[0]
        raised.clear()
        # A second one, raised while the first was caught, ends _answers().
        armed = False
        raise first.with_traceback(None)
