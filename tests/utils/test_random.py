"""Random streams stay apart, and keep the draws that published results were made with."""

import pytest
import torch

from ceco3d.utils.random import Stream, chance, points_generator, seeded_generator, uniform

# Draws before the streams had names: a change here changes every result.
FIRST_DRAWS = {
    (0, 0, 0, 0): [0.6144512891769409, 0.035496413707733154, 0.42744749784469604],
    (0, 1, 2, 3, 4): [0.13279855251312256, 0.7125348448753357, 0.6758047938346863],
    (7, Stream.ORDER, 1): [0.2163693904876709, 0.9481231570243835, 0.4842371344566345],
    (7, Stream.PAIR, 0, 5): [0.411130428314209, 0.8932037353515625, 0.901673436164856],
    (7, Stream.PAIR_COLLATE, 0, 5, 6): [0.9200995564460754, 0.3117786645889282, 0.5619787573814392],
    (7, Stream.VOXELIZE, 0, 5): [0.5082231760025024, 0.32211536169052124, 0.7814993858337402],
    (7, Stream.CROP, 0, 5): [0.9218854308128357, 0.636785089969635, 0.6342358589172363],
}


def test_streams_have_distinct_numbers_that_never_change():
    assert {stream.name: stream.value for stream in Stream} == {
        "TRANSFORM": 0,
        "COLLATE": 1,
        "ORDER": 2,
        "PAIR": 3,
        "PAIR_COLLATE": 4,
        "VOXELIZE": 5,
        "CROP": 6,
    }
    assert len(Stream.__members__) == len(set(Stream)), "an alias: two streams share a number"


@pytest.mark.parametrize("key", FIRST_DRAWS)
def test_draws_of_a_key_never_change(key):
    assert torch.rand(3, generator=seeded_generator(*key)).tolist() == FIRST_DRAWS[key]
    assert torch.rand(3, generator=seeded_generator(*map(int, key))).tolist() == FIRST_DRAWS[key]


def test_helpers_keep_their_draws():
    assert uniform(-2, 3, seeded_generator(1)) == -0.6952510476112366
    assert uniform(0, 1, seeded_generator(2)) == 0.7476010322570801
    assert [chance(0.5, seeded_generator(number)) for number in (1, 2)] == [True, False]
    assert seeded_generator(0).initial_seed() == 7434755675892716031
    assert seeded_generator(0, 0).initial_seed() == 10128210881749538955
    order = torch.randperm(8, generator=seeded_generator(3, Stream.ORDER, 0))
    assert order.tolist() == [6, 1, 4, 2, 3, 7, 0, 5]


def test_streams_of_one_seed_differ():
    draws = {torch.rand(4, generator=seeded_generator(0, stream, 0, 0)).numpy().tobytes() for stream in Stream}
    assert len(draws) == len(Stream)


def test_points_on_the_cpu_draw_from_the_generator_itself():
    rng = seeded_generator(0)
    assert points_generator(rng, torch.device("cpu")) is rng
