"""Processes that end with the one that started them."""

import os
from multiprocessing import parent_process
from threading import Thread


def end_with_parent() -> None:
    """End this process, without another word, as soon as the one that started it has ended.

    However that ends, also by a signal that it cannot answer: what it had begun would go on unseen,
    beside the command that resumes it. To be called first in a process of `multiprocessing`.
    """
    Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
