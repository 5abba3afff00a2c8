"""The JSON schema comes from the models, and the names and addresses of `words` say what is wrong with them."""

from __future__ import annotations

import pytest

from guestnet.spec.load import load_spec
from guestnet.spec.models import Forward, Guest, Network, Side4, Spec
from guestnet.words import names
from guestnet.words.problems import WrongError


def test_the_schema_holds_every_key() -> None:
    schema = Spec.model_json_schema()
    text = str(schema)
    for model in (Network, Guest, Forward, Side4):
        for name, field in model.model_fields.items():
            assert f"'{field.alias or name}'" in text


def test_empty_keys_are_as_if_left_out() -> None:
    spec = load_spec("networks:\nguests:\n  web1:\n  web2:\n    forwards:\n    nics:\n", "f")
    assert spec == Spec(networks={}, guests={"web1": Guest(), "web2": Guest()})


@pytest.mark.parametrize("name", ["web 1", "größe", "网络", "a.b-c_d", "a:b", "x" * 64, "#1", "-x"])
def test_names_that_libvirt_takes(name: str) -> None:
    assert names.guest_name(name) == name
    assert names.network_name(name) == name


@pytest.mark.parametrize("name", ["", " ", "a/b", ".", "..", "a\nb", "a\x7fb", "a\u2028b", "\ud800", "x" * 65])
def test_names_that_it_does_not(name: str) -> None:
    for check in (names.guest_name, names.network_name):
        with pytest.raises(WrongError):
            check(name)
