"""A vault, as a writer sees it: where its stores are and how to write. Nothing here opens a recovery point."""

from __future__ import annotations

from typing import Any

from prefect_aws import AwsCredentials
from pydantic import Field

from blocks.reference import DOCUMENTATION, CofferBlock, load, plain


class Vault(CofferBlock):
    """Stores and the writer's credentials of one vault.

    Points are read back and restored by the escrow worker, which has the identity as a file of its own.

    Example:
        Load a stored vault:
        ```python
        from blocks import Vault

        vault = Vault.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "Coffer Vault"
    _block_type_slug = "coffer-vault"
    _documentation_url = DOCUMENTATION

    stores: list[str] = Field(
        description="Addresses of the stores, without credentials; each is a full copy.", min_length=1
    )
    writer_file: str = Field(description="Path of the writer's credentials, which can seal and sign but not open.")
    aws_credentials: dict[str, str] = Field(
        default_factory=dict,
        description="Profile that a store's address names, and the AWS Credentials block that holds its keys.",
    )
    aws_credentials_file: str = Field(
        default="", description="Path of an AWS credentials file, where profiles are kept in a file instead of blocks."
    )

    def as_reference(self) -> dict[str, Any]:
        """Return {stores, writer_file, aws_credentials_file, credentials}; credentials by profile, ready for boto3."""
        return {
            "stores": list(self.stores),
            "writer_file": self.writer_file,
            "aws_credentials_file": self.aws_credentials_file,
            "credentials": {profile: _keys(block) for profile, block in self.aws_credentials.items()},
        }


def _keys(block: str) -> dict[str, str]:
    keys = load(AwsCredentials, block)
    return {"access_key": keys.aws_access_key_id or "", "secret_key": plain(keys.aws_secret_access_key)}
