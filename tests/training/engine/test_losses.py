"""EP-CE (Eq. 15)."""

import pytest
import torch
from torch.nn import functional

from training.engine.losses import EPCELoss, total_loss
from training.engine.recipes import EMOTIONS, POLARITY
from training.nets import Opinions


def logits(num=7, classes=6):
    return torch.randn(num, classes, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


TARGET = torch.tensor([0, 1, 2, 3, 4, 5, 2])


@pytest.mark.parametrize("gamma", [0, (0, 0, 0), {"positive": 0, "neutral": 0, "negative": 0}])
def test_without_a_penalty_it_is_cross_entropy(gamma):
    torch.testing.assert_close(EPCELoss(POLARITY, gamma)(logits(), TARGET), functional.cross_entropy(logits(), TARGET))


def test_the_polarity_of_each_emotion_is_the_papers():
    sides = dict(zip(EMOTIONS, POLARITY, strict=True))
    assert {e for e, p in sides.items() if p == "positive"} == {"Excitation", "Relaxation"}
    assert {e for e, p in sides.items() if p == "neutral"} == {"Neutral"}
    assert {e for e, p in sides.items() if p == "negative"} == {"Fear", "Sadness", "Tension"}


@pytest.mark.parametrize(
    ("label", "predicted", "factor"),
    [(0, 0, 1.0), (0, 3, 1.0), (1, 4, 1.0), (0, 2, 1.3), (3, 5, 1.3), (2, 0, 1.5), (2, 4, 1.5), (4, 2, 1.7), (5, 3, 1.7)],
)
def test_the_penalty_is_of_the_labels_polarity_and_only_when_the_predictions_differs(label, predicted, factor):
    one = functional.one_hot(torch.tensor([predicted]), 6).double()
    target = torch.tensor([label])
    got = EPCELoss(POLARITY, (0.3, 0.5, 0.7))(one, target)
    torch.testing.assert_close(got, factor * functional.cross_entropy(one, target))


def test_the_penalty_scales_the_gradient_and_has_none_of_its_own():
    given = logits().requires_grad_()
    EPCELoss(POLARITY, 0.7, reduction="none")(given, TARGET).sum().backward()
    penalised = given.grad.clone()
    given.grad = None
    functional.cross_entropy(given, TARGET, reduction="sum").backward()
    factors = penalised / given.grad
    torch.testing.assert_close(factors, factors[:, :1].expand(-1, 6))
    assert set(factors[:, 0].round(decimals=6).tolist()) <= {1.0, 1.7}


def test_the_three_opinions_are_weighed_and_a_missing_one_is_left_out():
    loss = EPCELoss(POLARITY, 0.7)
    both = Opinions(logits(), logits() * 2, logits() * 3)
    terms = [loss(part.float(), TARGET) for part in (both.logits, both.video_logits, both.audio_logits)]
    torch.testing.assert_close(total_loss(loss, both, TARGET, (1, 0.5, 2)), terms[0] + 0.5 * terms[1] + 2 * terms[2])
    torch.testing.assert_close(total_loss(loss, Opinions(logits()), TARGET, (1, 1, 1)), terms[0])


@pytest.mark.parametrize(("polarity", "gamma", "said"), [(["happy"] * 6, 0.7, "happy"), (POLARITY, (0.1, 0.2), "three")])
def test_bad_arguments_are_named(polarity, gamma, said):
    with pytest.raises(ValueError, match=said):
        EPCELoss(polarity, gamma)
