"""How tasks behave when the world misbehaves, and what a resumed run may remember.

Two kinds of task. *Remembered* ones are evidence: an image, findings, a recovery point. A resumed run finds their
result and does not run them again. *Acting* ones look at the world or change it: a resumed run runs them again, and
they find by looking what is already done. An observation that somebody acts on is never remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.tasks import Task, exponential_backoff

from coffer.errors import NotAllowed, OutsideSystemError, StepFailed, StoreFull

_FINAL = (NotAllowed, StepFailed, StoreFull)


def worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Tell whether another try can help: the outside system failed, and did not say no."""
    try:
        state.result()
    except Exception as error:
        return isinstance(error, OutsideSystemError) and not isinstance(error, _FINAL)
    return False


def within_this_run(context: TaskRunContext, arguments: dict[str, Any]) -> str:
    """Name a remembered result: this run, this task, its plain arguments.

    Plain arguments only: hashing richer values is not the same in two processes.
    """
    plain = {name: value for name, value in sorted(arguments.items()) if isinstance(value, str | int)}
    return f"{context.task_run.flow_run_id}-{context.task.name}-{plain}"


def remembered(name: str, *, retries: int = 2) -> Callable[[Any], Task[..., Any]]:
    """Make a task whose result a resumed run finds again."""
    return _retried(name, retries, persist_result=True, cache_key_fn=within_this_run)


def acting(name: str, *, retries: int = 2) -> Callable[[Any], Task[..., Any]]:
    """Make a task that runs each time it is reached, resumed or not."""
    return _retried(name, retries, persist_result=False, cache_policy=NO_CACHE)


def _retried(name: str, retries: int, **remembering: Any) -> Callable[[Any], Task[..., Any]]:  # noqa: ANN401
    return task(
        name=name,
        retries=retries,
        retry_delay_seconds=exponential_backoff(backoff_factor=1),
        retry_jitter_factor=0.5,
        retry_condition_fn=worth_retrying,
        **remembering,
    )
