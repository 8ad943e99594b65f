"""A key in AWS KMS as a recipient, against moto's KMS in this process."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from moto import mock_aws

from coffer.errors import NotAllowed, NotThere, OutsideSystemError, Unreachable, UsageError
from coffer.keys import Recipient, kms
from coffer.keys.kms import KmsKey

PLACE = {"coffer-vault": "00" * 16, "coffer-key": "keys/run-00"}


@pytest.fixture
def arn() -> Iterator[str]:
    with mock_aws():
        kms._client.cache_clear()
        yield boto3.client("kms", region_name="eu-central-1").create_key()["KeyMetadata"]["Arn"]
        kms._client.cache_clear()


def test_the_secret_comes_back(arn: str) -> None:
    secret, ciphertext = kms.encapsulate(arn, PLACE)
    assert len(secret) == 32
    assert secret not in ciphertext
    assert KmsKey(arn).decapsulate(ciphertext, PLACE) == secret
    assert kms.encapsulate(arn, PLACE)[0] != secret


def test_it_is_bound_to_vault_and_key(arn: str) -> None:
    _, ciphertext = kms.encapsulate(arn, PLACE)
    for other in ({**PLACE, "coffer-vault": "11" * 16}, {**PLACE, "coffer-key": "keys/run-11"}, {}):
        with pytest.raises(ValueError, match="this place"):
            KmsKey(arn).decapsulate(ciphertext, other)


def test_another_key_does_not_open_it(arn: str) -> None:
    _, ciphertext = kms.encapsulate(arn, PLACE)
    other = boto3.client("kms", region_name="eu-central-1").create_key()["KeyMetadata"]["Arn"]
    with pytest.raises((ValueError, NotAllowed)):  # moto says AccessDenied, AWS IncorrectKey
        KmsKey(other).decapsulate(ciphertext, PLACE)


def test_a_key_that_is_not_there_says_so(arn: str) -> None:
    with pytest.raises(NotThere, match="no such key"):
        kms.encapsulate(arn[:-1] + ("0" if arn[-1] != "0" else "1"), PLACE)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("IncorrectKeyException", ValueError),
        ("InvalidCiphertextException", ValueError),
        ("AccessDeniedException", NotAllowed),
        ("DisabledException", NotAllowed),
        ("KMSInvalidStateException", NotAllowed),
        ("KMSInternalException", Unreachable),
        ("SomethingNewException", OutsideSystemError),
    ],
)
def test_each_answer_of_the_service_has_its_error(
    code: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(retries={"total_max_attempts": 1})
    client = boto3.client(
        "kms", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x", config=config
    )
    arn = "arn:aws:kms:eu-central-1:123456789012:key/1"
    monkeypatch.setattr(kms, "_client", lambda region: client)
    with Stubber(client) as stubber:
        stubber.add_client_error("decrypt", code, "no")
        with pytest.raises(error):
            KmsKey(arn).decapsulate(b"x", PLACE)


def test_silence_is_no_answer(arn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9")
    monkeypatch.setattr(kms, "_ATTEMPTS", 1)
    with mock_aws(config={"core": {"passthrough": {"urls": [r"http://127\.0\.0\.1:9/?.*"]}}}):
        kms._client.cache_clear()
        with pytest.raises(Unreachable, match="does not answer"):
            KmsKey(arn).decapsulate(b"x", PLACE)


@pytest.mark.parametrize(
    "arn", ["alias/x", "arn:aws:kms:eu:123:key/x", "arn:aws:kms:eu-west-1:123456789012:alias/x", ""]
)
def test_a_key_is_named_by_its_arn(arn: str) -> None:
    with pytest.raises(UsageError, match="KMS key"):
        KmsKey(arn)
    with pytest.raises(UsageError, match="KMS key"):
        Recipient.of_kms(arn)
