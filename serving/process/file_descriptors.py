"""How many connections a process has file descriptors for."""

import logging
import os
import resource

SPARE = 16  # for models, pictures and logs, while all connections are taken

logger = logging.getLogger(__name__)


def most_connections(asked: int) -> int:
    """Returns how many connections one port may have: half of the descriptors that are left.

    Args:
        asked: The most connections that are wanted.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:  # as servers do
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError):
            pass
    left = soft - len(os.listdir("/dev/fd")) - SPARE
    most = max(4, min(asked, left // 2))
    if most < asked:
        logger.warning(
            "%d of %d connections can be open at once: `ulimit -n` is %d", most, asked, soft
        )
    return most
