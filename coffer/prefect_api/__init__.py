"""Prefect over its REST API: what a person's command line needs, without importing Prefect (settled.md 27)."""

from coffer.prefect_api.client import PrefectApi, Started
from coffer.prefect_api.flow_run import FlowRun

__all__ = ["FlowRun", "PrefectApi", "Started"]
