import pytest
import torch
from torch import nn

from simformer.attention import Attention, Dropout, dropout


@pytest.fixture
def attention() -> Attention:
    torch.manual_seed(0)
    attention = Attention(32, heads=4, dropout=0.0)
    nn.init.normal_(attention.in_proj_bias)
    return attention


def test_written_out_it_is_pytorchs_attention(attention):
    reference = nn.MultiheadAttention(32, 4, batch_first=True)
    reference.load_state_dict(attention.state_dict())
    inputs = [torch.randn(2, 5, 32), torch.randn(2, 7, 32), torch.randn(2, 7, 32)]
    ours, theirs = (
        [x.clone().requires_grad_() for x in inputs] + list(each.parameters()) for each in (attention, reference)
    )
    a = attention(*ours[:3])
    b = reference(*theirs[:3], need_weights=False)[0]
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    for gradient, other in zip(
        torch.autograd.grad(a.square().sum(), ours), torch.autograd.grad(b.square().sum(), theirs), strict=True
    ):
        torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-5)


def test_in_evaluation_nothing_is_dropped(attention):
    x = torch.randn(2, 5, 32)
    without = attention(x, x, x)
    attention.dropout = 0.5
    assert not torch.allclose(attention(x, x, x), without, atol=1e-2)
    torch.testing.assert_close(attention.eval()(x, x, x), without, rtol=1e-5, atol=1e-6)


def test_a_query_whose_weights_are_all_dropped_gets_the_bias_alone(attention):
    attention.dropout = 1 - 1e-9
    x = torch.randn(1, 3, 32)
    torch.manual_seed(0)
    torch.testing.assert_close(attention(x, x, x), attention.out_proj.bias.expand(1, 3, 32))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(p):
    torch.manual_seed(0)
    x = torch.ones(1_000_003)  # not a multiple of four
    y = dropout(x, p)
    dropped = (y == 0).float()
    assert dropped.mean().item() == pytest.approx(p, abs=2e-3)
    assert y[y > 0].unique().tolist() == pytest.approx([1 / (1 - p)], rel=2e-4)
    assert y.mean().item() == pytest.approx(1, abs=0.01)
    # Four neighbours come out of one number: they must know nothing of each other.
    quarters = dropped[:1_000_000].view(-1, 4)
    assert (torch.corrcoef(quarters.t()) - torch.eye(4)).abs().max() < 0.01


def test_dropout_repeats_with_its_seed_and_not_without():
    x = torch.randn(3, 4, 5)
    torch.manual_seed(1)
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    torch.manual_seed(1)
    assert torch.equal(dropout(x, 0.5), first)
    assert not torch.equal(first, second)


def test_gradients_pass_where_values_pass():
    x = torch.randn(1000, requires_grad=True)
    y = dropout(x, 0.3)
    y.sum().backward()
    torch.testing.assert_close(x.grad * x, y)


def test_nothing_to_drop():
    x = torch.randn(7)
    assert dropout(x, 0.0) is x
    assert dropout(torch.empty(0, 3), 0.5).shape == (0, 3)
    assert Dropout(0.5).eval()(x) is x


def test_dropout_keeps_the_type_of_its_input():
    assert dropout(torch.ones(8, dtype=torch.bfloat16), 0.5).dtype == torch.bfloat16
