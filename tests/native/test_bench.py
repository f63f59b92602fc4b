"""`googlenet bench` with a user's own code of the network in this framework."""

import pytest

import googlenet
from googlenet.backend.protocols import capabilities

from ..frameworks.own_models import FILES
from ..named import skip_if_lacking

SHAPE = (1, 16, 15)


@pytest.fixture
def subject(framework, backend, tmp_path):
    skip_if_lacking(framework, {"own"} - capabilities(backend))
    file = tmp_path / "mynet.py"
    file.write_text(FILES[framework])
    return f"{file}:Net"


def timed(network, framework, subject, **more):
    return googlenet.bench(
        *(network, [framework, "numpy"]),
        own={framework: subject},
        forms="native",
        batches=2,
        rounds=5,
        **more,
    )


def test_a_users_code_is_timed_beside_the_native_model_of_its_framework(framework, subject):
    network = googlenet.own_network(subject, input_shape=SHAPE).network
    found = timed(network, framework, subject)
    assert found.passed, [each.error for each in found.timed]
    rows = [(each.framework, each.case.form) for each in found.timed]
    assert rows == [(framework, "own"), (framework, "native"), ("numpy", "native")]
    own, native, elsewhere = found.timed
    assert found.ratio_to_own(elsewhere) is None
    assert own.share <= 1
    assert len(own.seconds) == 5
    assert found.ratio_to_own(own) is None
    ratio = found.ratio_to_own(native)
    assert ratio.median == pytest.approx(
        sorted(a / b for a, b in zip(own.seconds, native.seconds, strict=True))[2]
    )
    rows = found.to_json()["timed"]
    assert rows[0]["ratio_to_own"] is None
    assert rows[1]["ratio_to_own"]["median"] == ratio.median


def test_another_network_is_not_timed_with_it(framework, subject):
    found = timed(googlenet.get_network("nin", input_shape=(1, 67, 67)), framework, subject)
    own, native, _ = found.timed
    assert not found.passed
    assert native.seconds
    assert own.seconds == ()
    assert "is another network than nin" in own.error
