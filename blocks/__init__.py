"""Prefect blocks: credentials and addresses. No workflow logic, and never a vault's identity."""

from blocks.database import Database, Redis
from blocks.docker_host import DockerHost
from blocks.notifier import Notifier
from blocks.reference import CofferBlock
from blocks.registry import Registry
from blocks.vault import Vault

__all__ = ["CofferBlock", "Database", "DockerHost", "Notifier", "Redis", "Registry", "Vault"]
