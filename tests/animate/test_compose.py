"""Laws of laying a motion on a portrait; the numbers themselves are in the parity cases compose_*."""

from dataclasses import replace

import pytest
import torch

from joyvasa.animate.compose import Composer, VideoComposer
from joyvasa.animate.compose_settings import Amplitude
from joyvasa.animate.compose_source import Source, motion_multiplier
from joyvasa.motion import (
    BROWS,
    CHANNELS,
    EXP,
    EYE_KEYPOINTS,
    HEAD,
    KEYPOINTS,
    LIP_KEYPOINTS,
    ROTATION,
    SCALE,
    transform_keypoints,
)
from tests.animate.settings import composed

FRAMES = 6
PLAIN = Amplitude(lips=1.0, eyes=1.0, brows=1.0, head=1.0)
SETTINGS = composed(driving="pose-friendly", normalise_lip=False, stitching=False)
LIPS, EYES = list(LIP_KEYPOINTS), list(EYE_KEYPOINTS)
REST = [k for k in range(KEYPOINTS) if k not in LIPS + EYES]


class Nudges:
    """In the place of the retargeting networks: stitching moves keypoint 0, the others move by target - ratio."""

    def stitch(self, source, driving):
        driving = driving.clone()
        driving[:, 0] += 0.5 * (source[:, 0] - driving[:, 0])
        return driving

    def eye_delta(self, source, ratios):
        delta = torch.zeros_like(source)
        delta[:, EYES, 1] = (ratios[:, 2] - ratios[:, 0])[:, None]
        return delta

    def lip_delta(self, source, ratios):
        delta = torch.zeros_like(source)
        delta[:, LIPS, 1] = (ratios[:, 1] - ratios[:, 0])[:, None]
        return delta


def motion_like(*shape, seed=0):
    motion = 0.05 * torch.randn(*shape, CHANNELS, generator=torch.Generator().manual_seed(seed))
    motion[..., ROTATION] *= 100
    motion[..., SCALE] += 1.3
    return motion


def source_like(*shape, seed=1, eye=None, lip=None):
    canonical = 0.3 * torch.randn(*shape, KEYPOINTS, 3, generator=torch.Generator().manual_seed(seed))
    ratios = [None if value is None else torch.full((*shape, n), value) for value, n in ((eye, 2), (lip, 1))]
    return Source(canonical, motion_like(*shape, seed=seed + 1), *ratios)


@pytest.fixture
def motion():
    return motion_like(FRAMES)


def drive(motion, source=None, species="human", retargeting=None, **changes):
    settings = replace(SETTINGS, **changes)
    source = source or source_like()
    return Composer(source, motion[0], settings=settings, species=species, retargeting=retargeting)(motion)


def drive_video(motion, source, retargeting=None, **changes):
    return VideoComposer(motion[0], settings=replace(SETTINGS, **changes), retargeting=retargeting)(source, motion)


@pytest.mark.parametrize("species", ["human", "animal"])
@pytest.mark.parametrize("driving", ["auto", "expression-friendly", "pose-friendly"])
def test_chunks_give_what_the_whole_gives(motion, species, driving):
    settings = replace(SETTINGS, driving=driving, stitching=True, multiplier=1.2)
    composer = Composer(source_like(), motion[0], settings=settings, species=species, retargeting=Nudges())
    whole = composer(motion)
    assert torch.equal(torch.cat([composer(motion[:1]), composer(motion[1:5]), composer(motion[5:])]), whole)


def test_auto_is_pose_friendly_for_people_and_expression_friendly_for_animals(motion):
    for species, driving in (("human", "pose-friendly"), ("animal", "expression-friendly")):
        chosen, auto = (drive(motion, species=species, driving=name) for name in (driving, "auto"))
        assert torch.equal(chosen, auto)


def test_expression_friendly_starts_at_the_photo(motion):
    for species in ("human", "animal"):
        driving = drive(motion, species=species, driving="expression-friendly")
        torch.testing.assert_close(driving[0], source_like().keypoints)


def test_a_motion_that_stands_still_leaves_all_but_the_lips_of_the_photo(motion):
    driving = drive(motion[:1].expand(FRAMES, -1))
    others = [k for k in range(KEYPOINTS) if k not in LIPS]
    torch.testing.assert_close(driving[:, others], source_like().keypoints[others].expand(FRAMES, -1, -1))
    # A person's lips are the motion's own.
    exp = motion[0, EXP].reshape(KEYPOINTS, 3)[LIPS]
    source = source_like()
    lips = source.motion[SCALE] * (source.canonical @ source.rotation)[LIPS] + source.motion[SCALE] * exp
    lips[:, :2] += source.motion[64:66]
    torch.testing.assert_close(driving[0, LIPS], lips)


def test_a_region_moves_its_keypoints_and_no_other(motion):
    photo = source_like().keypoints.expand(FRAMES, -1, -1)
    for region, moved in (("lip", LIPS), ("eyes", EYES), ("lip+eyes", LIPS + EYES), (["eyes", "lip"], LIPS + EYES)):
        driving = drive(motion, region=region)
        still = [k for k in range(KEYPOINTS) if k not in moved]
        assert torch.equal(driving[:, still], photo[:, still])
        assert (driving - photo)[1:, moved].abs().amax(-1).min() > 0


def test_pose_turns_the_head_and_leaves_the_expression(motion):
    expression_alone = motion.clone()
    expression_alone[:, HEAD] = motion[0, HEAD]
    torch.testing.assert_close(
        drive(expression_alone, region="pose"), source_like().keypoints.expand(FRAMES, -1, -1), atol=1e-6, rtol=0
    )
    assert (drive(motion, region="pose") - source_like().keypoints)[1:].abs().max() > 0.01


def test_an_animal_keeps_its_size_and_its_lips_are_relative(motion):
    bigger = motion.clone()
    bigger[1:, SCALE] *= 1.5
    relative = {"species": "animal", "driving": "pose-friendly"}
    assert torch.equal(drive(bigger, **relative), drive(motion, **relative))
    still = drive(motion[:1].expand(2, -1), **relative)
    torch.testing.assert_close(still, source_like().keypoints.expand(2, -1, -1))


def test_the_multiplier_scales_the_way_from_the_photo(motion):
    once, twice = (drive(motion, multiplier=factor) - source_like().keypoints for factor in (1.0, 2.0))
    torch.testing.assert_close(twice, 2 * once, atol=1e-5, rtol=1e-5)


def test_amplitude_one_changes_no_bit(motion):
    assert torch.equal(PLAIN.apply(motion, motion[0]), motion)


def test_amplitude_multiplies_what_a_part_does_since_the_first_frame(motion):
    amplitude = Amplitude(lips=2.0, eyes=0.0, brows=0.5, head=3.0)
    way, amplified = (m - motion[0] for m in (motion, amplitude.apply(motion, motion[0])))
    for keypoints, factor in ((LIPS, 2), (EYES, 0), (list(BROWS), 0.5), ([0, 3, 7], 1)):
        exp, more = (m[:, EXP].unflatten(1, (KEYPOINTS, 3))[:, keypoints] for m in (way, amplified))
        torch.testing.assert_close(more, factor * exp)
    torch.testing.assert_close(amplified[:, HEAD], 3 * way[:, HEAD], atol=1e-4, rtol=1e-5)


def test_a_head_without_amplitude_holds_still(motion):
    held = drive(motion, region="pose", amplitude=replace(PLAIN, head=0.0))
    torch.testing.assert_close(held, source_like().keypoints.expand(FRAMES, -1, -1), atol=1e-6, rtol=0)


def test_retargeting_opens_the_eyes_and_lets_the_rest_move(motion):
    source = source_like(eye=0.1, lip=0.4)
    plain = drive(motion, source)
    opened = drive(motion, source, retargeting=Nudges(), eye_retargeting=0.35)
    torch.testing.assert_close(opened[:, EYES, 1], plain[:, EYES, 1] + 0.25)
    assert torch.equal(opened[:, REST], plain[:, REST])
    both = drive(motion, source, retargeting=Nudges(), eye_retargeting=0.35, lip_retargeting=0.1)
    torch.testing.assert_close(both[:, LIPS, 1], plain[:, LIPS, 1] - 0.3)


def test_the_slips_of_the_reference_are_a_switch(motion):
    photo = source_like().keypoints.expand(FRAMES, -1, -1)
    slips = {"official_slips": True}
    assert torch.equal(drive(motion, eye_retargeting=0.35, **slips), photo)
    assert torch.equal(drive(motion, eye_retargeting=0.35, relative=False, **slips), drive(motion, relative=False))
    head_alone = motion.clone()
    head_alone[:, EXP] = motion[0, EXP]
    assert torch.equal(drive(motion, region="eyes", **slips), drive(head_alone, region="eyes", **slips))
    assert (drive(motion, region="eyes", **slips) - photo).abs().max() > 0.01  # scale and translation
    assert torch.equal(drive(motion, **slips), drive(motion))


def test_lips_are_normalised_where_open_after_stitching(motion):
    asked = {"retargeting": Nudges(), "normalise_lip": True}
    for ratio, shift in ((0.02, 0.0), (0.2, -0.2)):
        source = source_like(lip=ratio)
        torch.testing.assert_close(
            drive(motion, source, **asked)[:, LIPS, 1], drive(motion, source)[:, LIPS, 1] + shift
        )
    source = source_like(lip=0.2)
    assert torch.equal(drive(motion, source, relative=False, **asked), drive(motion, source, relative=False))


def test_what_cannot_be_done_is_said(motion):
    settings = replace(SETTINGS, normalise_lip=True)
    composer = Composer(source_like(), motion[0], settings=settings, species="human", retargeting=Nudges())
    assert "landmarks" in composer.notes[0]
    with pytest.raises(ValueError, match="eye_retargeting needs landmarks"):
        drive(motion, retargeting=Nudges(), eye_retargeting=0.3)
    with pytest.raises(ValueError, match="stitching without the stitching and retargeting network"):
        drive(motion, stitching=True)
    with pytest.raises(ValueError, match="species 'dog'"):
        drive(motion, species="dog")


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"region": "mouth"}, "mouth.*all, exp, pose, lip, eyes"),
        ({"region": ""}, "region missing"),
        ({"driving": "friendly"}, "friendly"),
        ({"eye_retargeting": 3.0}, "eye_retargeting 3.0"),
    ],
)
def test_wrong_settings_say_what_was_expected(wrong, words):
    with pytest.raises(ValueError, match=words):
        replace(SETTINGS, **wrong)
    with pytest.raises(ValueError, match="amplitude.*lips"):
        replace(PLAIN, lips=-1.0)


def test_the_motion_multiplier_follows_volumes():
    points = source_like().canonical
    assert motion_multiplier(2 * points, points) == pytest.approx(2**1.5, rel=1e-5)
    with pytest.raises(ValueError, match="in a plane"):
        motion_multiplier(points * torch.tensor([1, 1, 0]), points)


def test_a_video_keeps_everything_outside_the_region(motion):
    video = source_like(FRAMES)
    driving = drive_video(motion, video, region="lip")
    others = [k for k in range(KEYPOINTS) if k not in LIPS]
    assert torch.equal(driving[:, others], video.keypoints[:, others])
    # Every frame's lips are what the frame would be with the motion's lips.
    spoken = video.motion.clone()
    spoken[:, EXP].unflatten(1, (KEYPOINTS, 3))[:, LIPS] = motion[:, EXP].unflatten(1, (KEYPOINTS, 3))[:, LIPS]
    torch.testing.assert_close(driving, transform_keypoints(video.canonical, spoken))


def test_a_video_keeps_its_head_unless_asked(motion):
    video = source_like(FRAMES)
    turned = motion.clone()
    turned[1:, HEAD] += 1.0
    for region in ("lip", "eyes", "exp", "lip+eyes"):
        assert torch.equal(drive_video(motion, video, region=region), drive_video(turned, video, region=region))
    assert not torch.equal(drive_video(motion, video), drive_video(turned, video))
    grown = motion.clone()
    grown[1:, SCALE] *= 2
    assert torch.equal(drive_video(motion, video), drive_video(grown, video))


def test_a_video_in_chunks_is_the_whole_video(motion):
    video = source_like(FRAMES, eye=0.2, lip=0.3)
    settings = replace(SETTINGS, stitching=True, normalise_lip=True, eye_retargeting=0.3)
    composer = VideoComposer(motion[0], settings=settings, retargeting=Nudges())
    parts = [composer(video[part], motion[part]) for part in (slice(0, 4), slice(4, FRAMES))]
    assert torch.equal(torch.cat(parts), composer(video, motion))


def test_a_video_of_another_length_is_refused(motion):
    with pytest.raises(ValueError, match="6 frames of motion for 5 of video"):
        drive_video(motion, source_like(5))
