"""Amazon RDS: snapshots of an instance, in its own region and copied to another."""

from coffer.sources.rds.address import RdsAddress
from coffer.sources.rds.source import RdsSource

__all__ = ["RdsAddress", "RdsSource"]
