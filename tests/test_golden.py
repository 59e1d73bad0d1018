"""The golden numbers of theory.md section 14, to all digits printed there."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sde_si import theory


def printed(value: float, text: str) -> bool:
    """Whether `value`, rounded as `text` is printed, is `text` (one unit of the last digit for its own rounding)."""
    digits = len(text.partition(".")[2])
    return abs(value - float(text)) <= 1.01 * 10.0**-digits


@pytest.mark.parametrize(
    ("k", "R", "cos"),
    [
        (1, ".9725", ".963338240470"),
        (2, ".949660684447", ".926110869013"),
        (5, ".902481956662", ".814514392178"),
        (10, ".866452241452", ".643226218153"),
        (40, ".847347500173", ".139609006097"),
    ],
)
def test_14_1_fixed_length_sgd(k, R, cos):
    found = theory.fixed_length_sgd(40, 0.1, 0.5, noise_trace=7.0, start=1.0)
    assert printed(found.norm_squared[k], R)
    assert printed(found.cos[k], cos)


def test_14_1_fixed_point():
    moments = theory.sgd_moments(0.1, 0.5, noise_trace=7.0)
    assert printed(moments.xx, ".847318545736")
    assert printed(theory.step_angle(0.05), ".317560429292")


@pytest.mark.parametrize(
    ("start", "t", "Q", "cos", "square", "clock"),
    [
        (1, 1, "3.5377694569", ".6935901132", ".4920273111", ".0487832144"),
        (1, 6, "10.7832810332", ".4088122722", ".2015664330", ".1192665627"),
        (1, 40, "14.9953035232", ".0687736733", ".0656031684", ".3569245685"),
        (4, 1, "212.3141114918", ".9967828383", ".9935774050", ".0004296464"),
        (4, 6, "87.5878050708", ".9686362902", ".9383858556", ".0042488111"),
        (4, 40, "15.0808464933", ".2747037561", ".1220500894", ".1722749350"),
    ],
)
def test_14_2_sde_transient(start, t, Q, cos, square, clock):
    found = theory.transient(t, 0.1, 0.05, sigma=1.0, dim=16, start=start)
    assert printed(found.quartic, Q)
    assert printed(found.cos, cos)
    assert printed(found.cos_squared, square)
    assert printed(found.clock, clock)


def test_14_2_equilibrium():
    square = theory.sde_norm_squared(0.1, 0.05, noise_trace=15.0)
    assert printed(square, "3.8729833462")
    assert printed(0.1 / square, ".0258198890")


@pytest.mark.parametrize(
    ("dim", "text"), [(2, ".6576909491"), (3, ".4963109663"), (6, ".2786305649"), (16, ".1099153307")]
)
def test_14_3_vmf(dim, text):
    assert printed(theory.vmf_resultant(16 / 9, dim), text)


@pytest.mark.parametrize(("dim", "kappa"), [(5000, 300.0), (700, 2.0), (4, 1e4), (16, 1e-3)])
def test_vmf_resultant_satisfies_its_recurrence(dim, kappa):
    """A_d = 1/(d/kappa + A_{d+2}), also where the Bessel functions underflow."""
    expected = 1 / (dim / kappa + theory.vmf_resultant(kappa, dim + 2))
    assert theory.vmf_resultant(kappa, dim) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("dim", "text"), [(2, ".0682386945"), (3, ".0624330806"), (5, ".0541761834"), (16, ".0328097300")]
)
def test_14_4_bingham(dim, text):
    assert printed(theory.bingham_second_moment(8.0, dim), text)


@pytest.mark.parametrize(
    ("mu", "u", "plus", "minus", "alpha", "c200", "c391", "exponential"),
    [
        (0.9, 4e-4, ".995843892103", ".903756107897", 4.284587e-2, ".4533910365", ".2046465166", ".2092972058"),
        (0.5, 5e-3, ".989896885294", ".505103114706", 1.396425e-2, ".1330497898", ".0191291698", ".0200405011"),
        (0.9, 1e-5, ".999899909829", ".900090090171", 9.500770e-4, ".9811112608", ".9625323628", ".9616545389"),
    ],
)
def test_14_5_momentum(mu, u, plus, minus, alpha, c200, c391, exponential):
    zp, zm, al = theory.lag_roots(u, mu)
    assert printed(zp, plus)
    assert printed(zm, minus)
    assert al - 1 == pytest.approx(alpha, rel=1e-6)
    c = theory.lag_cosines(391, u, mu)
    assert printed(c[200], c200)
    assert printed(c[391], c391)
    assert printed(math.exp(-391 * u / (1 - mu)), exponential)
    assert c[391] == pytest.approx(al * zp**391 + (1 - al) * zm**391, rel=1e-9)


def test_14_6_yun_schedule():
    factors = np.ones(300)
    factors[150:], factors[225:] = 0.1, 0.01
    degrees, quartic = theory.schedule_angles(300, factors, 10 / 128)
    for epoch, angle, Q in [
        (1, "22.3544", "1.0"),
        (150, "22.3544", "1.0"),
        (151, "2.2805", ".97231"),
        (152, "2.3127", ".945472"),
        (160, "2.5826", ".758454"),
        (175, "3.1444", ".51205"),
        (200, "4.1921", ".28865"),
        (225, "5.2235", ".18637"),
        (226, ".5250", ".18582"),
        (230, ".5281", ".183636"),
        (250, ".5439", ".173116"),
        (300, ".5853", ".14952"),
    ]:
        assert printed(degrees[epoch - 1], angle)
        assert printed(quartic[epoch - 1], Q)
    for start, angles in (
        (0.01, ("66.20", "35.97", "30.04", "25.61", "22.93", "22.38", "22.36")),
        (100.0, ("2.451", "2.859", "3.333", "4.512", "9.172", "20.25", "22.25")),
    ):
        degrees, _ = theory.schedule_angles(30, factors, 10 / 128, start=start)
        for epoch, text in zip((1, 2, 3, 5, 10, 20, 30), angles, strict=True):
            assert printed(degrees[epoch - 1], text)


@pytest.mark.parametrize(
    ("l", "c1", "c2"),
    [
        (1, "1.0", "0.0"),
        (2, "1.3660254038", "-.3660254038"),
        (4, "1.8228756555", "-.8228756555"),
        (16, "3.2838821814", "-2.2838821814"),
    ],
)
def test_14_7_svag(l, c1, c2):  # noqa: E741
    a, b = theory.svag_coefficients(l)
    assert printed(a, c1)
    assert printed(b, c2)
    assert a + b == pytest.approx(1, abs=1e-14)
    assert a * a + b * b == pytest.approx(l, rel=1e-14)


@pytest.mark.parametrize(
    ("a", "square", "growth", "multiplier"),
    [
        (1.1, ".0454545455", ".1906203596", ".426269"),
        (1.5, ".1666666667", ".8109302162", ".012346"),
        (2, ".25", "1.3862943611", ".25"),
        (5, ".4", "3.2188758249", ".8464"),
    ],
)
def test_14_8_two_cycle(a, square, growth, multiplier):
    found = theory.two_cycle(a)
    assert printed(found.square, square)
    assert printed(found.log_growth, growth)
    assert printed(found.multiplier, multiplier)


@pytest.mark.parametrize(
    ("s", "means", "at1", "at0"),
    [
        (0.1, (".90483742", ".74081822", ".54881164"), "10.16834941", ".00005595"),
        (0.5, (".60653066", ".22313016", ".04978707"), "2.17542421", ".23240169"),
        (2.0, (".13533528", ".00247875", ".00000614"), ".70922132", ".49690156"),
    ],
)
def test_14_11_sphere(s, means, at1, at0):
    for degree, text in enumerate(means, start=1):
        assert printed(theory.sphere_brownian(s, degree), text)
    assert printed(theory.sphere_density(s, 1.0), at1)
    assert printed(theory.sphere_density(s, 0.0), at0)


@pytest.mark.parametrize(
    ("d", "mu", "u", "n", "V", "step", "cos", "c"),
    [
        (64, 0.95, 0.005, 10, ".0134705912", ".00258700540", ".79009988", ".79071709"),
        (256, 0.95, 0.005, 10, ".00332802841", ".00256976091", ".79056460", ".79071709"),
        (16, 0.9, 4e-4, 50, ".00247772777", ".000210871706", ".84712302", ".84653289"),
    ],
)
def test_14_12_finite_dimension(d, mu, u, n, V, step, cos, c):
    found = theory.finite_dimension(n, u, mu, d)
    assert printed(found.variance, V)
    assert printed(found.versine_step, step)
    assert printed(found.cos, cos)
    assert printed(theory.lag_cosines(n, u, mu)[n], c)


@pytest.mark.parametrize(
    ("n", "mu", "u", "factor", "versine"),
    [
        (44, 0.9, 1.6e-4, ".82195508", ".0117950746"),
        (391, 0.9, 2e-5, ".97725460", ".00170314650"),
        (20, 0.5, 1e-3, ".95145318", ".00131738938"),
    ],
)
def test_14_13_reshuffled(n, mu, u, factor, versine):
    found = theory.reshuffled(n, u, mu)
    assert printed(found.norm_factor, factor)
    assert printed(1 - found.cos_epoch, versine)


@pytest.mark.parametrize(("rho", "text"), [(10 / 128, ".9999972604"), (0.2, ".9999515460"), (1.0, ".9913922448")])
def test_14_13_reshuffled_without_momentum(rho, text):
    assert printed(theory.reshuffled(10**9, rho / 10**9).cos_epoch, text)


@pytest.mark.parametrize(
    ("b1", "b2", "u", "norm", "rotation"),
    [
        (0.9, 0.99, 2e-3, "9624.607094", ".01000503"),
        (0.95, 0.98, 1e-3, "27739.908398", ".00592319"),
        (0.9, 0.99, 2e-4, "112636.362877", ".00297320"),
    ],
)
def test_14_15_lion(b1, b2, u, norm, rotation):
    found = theory.lion_equilibrium(b1, b2, u)
    assert printed(found.norm_squared, norm)
    assert printed(found.rotation, rotation)
