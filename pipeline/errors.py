"""What ends a command: failed work, with its explanation, and signals."""

import errno
import signal

from restem.errors import RestemError
from restem.exhausted import filled_the_disk, full_disk, ran_out_of_memory
from restem.stem import StemError


class WorkFailed(RestemError):
    """The work itself failed; the message is one paragraph with the path of the log, unless the user can fix it."""

    exit_code = 1

    def __init__(self, what: str, *, fixable: bool = False, **parts: str | None) -> None:
        self.fixable = fixable
        super().__init__(what, **parts)


class Interrupted(BaseException):
    """A signal requests a stop. Not an Exception, so that no handler on the way up catches it."""

    def __init__(self, signum: int, details: str = "") -> None:
        super().__init__(f"interrupted ({signal.Signals(signum).name}) {details}".strip())
        self.signum = signum


# What the system says of a path that somebody gave, or of the machine.
_OF_A_PATH = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)
_OF_THE_MACHINE = (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE)


def refused_by_the_system(error: OSError) -> RestemError | None:
    """The error for a file or folder that the system refuses; None: the reason is another one."""
    if filled_the_disk(error):
        return WorkFailed(full_disk(error), remedy="Remove what is not needed, and run again")
    if not isinstance(error.filename, str) or error.errno not in (*_OF_A_PATH, *_OF_THE_MACHINE):
        return None
    kind = RestemError if error.errno in _OF_A_PATH else WorkFailed
    return kind("the system refuses this file or folder", where=error.filename, given=error.strerror)


def raise_on_signals() -> None:
    """Raises `Interrupted` in the main thread on SIGINT, SIGTERM and SIGHUP, and ignores further signals."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def handle(signum: int, _frame: object) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(signum)

    for signum in signals:
        # A program started with nohup or in the background of a script ignores a signal on purpose.
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, handle)


def explain_failure(error: BaseException) -> tuple[str, bool]:
    """The failure as one sentence or paragraph, and whether the user can fix it (then no log is needed)."""
    chain = _chain(error)
    for cause in reversed(chain):
        if isinstance(cause, RestemError | StemError):
            return str(cause), True
        # Beam passes a worker's exception as text.
        for kind in (RestemError, StemError):
            name = f"{kind.__module__}.{kind.__name__}: "
            if name in str(cause):
                return str(cause).split(name, 1)[1].split(" [while running", 1)[0].strip(), True
    cause = chain[-1]
    step = getattr(error, "step", None)
    lost = _lost_worker(chain)
    if lost is not None:
        return f"{f'the step {step} failed' if step else 'the work failed'}: {lost}", False
    lines = [line for line in str(cause).strip().splitlines() if line.strip()]
    text = f"{type(cause).__name__}: {lines[-1].strip()[:500]}" if lines else type(cause).__name__
    return f"{f'the step {step} failed' if step else 'the work failed'}: {text.rstrip('.')}.{_hint(chain)}", False


def _hint(chain: list[BaseException]) -> str:
    for error in reversed(chain):
        if filled_the_disk(error):
            return f" {full_disk(error)}: remove what is not needed, and run again; finished steps are kept."
        if ran_out_of_memory(error):
            return " There is too little memory: a smaller train.batch_size or image.size needs less."
        if type(error).__module__.startswith("ml_metadata"):
            return " If the metadata database is damaged, restem repair sets it aside."
    return ""


# What Beam's runners say when a worker (an SDK harness) went away: FnApiRunner, Flink, Prism.
_LOST = (
    "Channel closed prematurely",
    "CANCELLED: client cancelled",
    "CANCELLED: cancelled before receiving half close",
    "Worker subprocess exited with return code",
    "SDK Harness disconnected",
    "worker disconnected",
)


# A worker that reports an exception is there; others are cancelled because of it.
_ANSWERED = "error received from sdk harness"


def _lost_worker(chain: list[BaseException]) -> str | None:
    """A sentence on a worker of Beam that ended early; None: that is not the cause."""
    texts = [str(error).lower() for error in chain]
    if any(_ANSWERED in text for text in texts):
        return None
    said = next((words for text in texts for words in _LOST if words.lower() in text), None)
    if said is None:
        return None
    return (
        f"a worker process of Beam ended before its work was done (Beam's words: {said}). It was killed or it crashed; "
        "mostly the machine ran out of memory, and fewer workers (beam.parallelism) or a smaller image.size need less. "
        "The worker's own log has more; on a cluster, its task manager or worker pool must run before the next try. "
        "Finished steps are kept."
    )


def _chain(error: BaseException) -> list[BaseException]:
    """The error and its causes, the root cause last."""
    chain = [error]
    while True:
        cause = chain[-1].__cause__ or (None if chain[-1].__suppress_context__ else chain[-1].__context__)
        if cause is None or cause in chain:
            return chain
        chain.append(cause)
