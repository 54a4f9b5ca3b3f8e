"""The calculus of singular vectors, written once for operators that know them as matrices or as maps."""

from __future__ import annotations

from abc import ABC, abstractmethod

from problems.arrays import Array, namespace


class Linear:
    """What every linear operator has beside A and `adjoint`."""

    linear = True

    def adjoint(self, v: Array) -> Array:
        """A^T v: (n, m) -> (n, *shape)."""
        raise NotImplementedError

    def pull(self, x: Array, v: Array) -> Array:  # noqa: ARG002
        """J(x)^T v, the derivative's adjoint at x, as a non-linear operator has it: A^T v at every x, (n, *shape)."""
        return self.adjoint(v)


class Decomposed(Linear, ABC):
    """y = A x with A = U diag(s) V^T of shape (m, d) and rank r, the columns of U and V orthonormal.

    A class of operators gives `s`, `shape`, `m` and four maps of rows; from these follows all that samplers ask for.

    Attributes:
        s: (r,), all positive, in any order. shape: that of one x.
    """

    s: Array
    shape: tuple[int, ...]

    @property
    @abstractmethod
    def m(self) -> int:
        """The length of a measurement."""

    @abstractmethod
    def to_right(self, x: Array) -> Array:
        """V^T x: (n, *shape) -> (n, r)."""

    @abstractmethod
    def from_right(self, c: Array) -> Array:
        """V c: (n, r) -> (n, *shape)."""

    @abstractmethod
    def to_left(self, v: Array) -> Array:
        """U^T v: (n, m) -> (n, r)."""

    @abstractmethod
    def from_left(self, c: Array) -> Array:
        """U c: (n, r) -> (n, m)."""

    def __call__(self, x: Array) -> Array:
        """(n, *shape) -> (n, m)."""
        return self.from_left(self.to_right(x) * self.s[None, :])

    def adjoint(self, v: Array) -> Array:
        """A^T v: (n, m) -> (n, *shape)."""
        return self.from_right(self.to_left(v) * self.s[None, :])

    def pseudo_inverse(self, v: Array) -> Array:
        """A^+ v: (n, m) -> (n, *shape)."""
        return self.from_right(self.to_left(v) / self.s[None, :])

    def damped_inverse(self, v: Array, scale: Array, shift: Array) -> Array:
        """A^T (scale A A^T + shift I)^{-1} v, (n, *shape); scale >= 0 and shift > 0 are scalars.

        Not `adjoint` of `gram_solve`: what v holds off the range of A would be divided by shift and then has to cancel.
        """
        return self.from_right(self.to_left(v) * (self.s / (scale * self.s**2 + shift))[None, :])

    def gram_solve(self, v: Array, scale: Array, shift: Array) -> Array:
        """(scale A A^T + shift I)^{-1} v, (n, m); scale >= 0 and shift > 0 are scalars."""
        within = self.to_left(v)
        solved = self.from_left(within / (scale * self.s**2 + shift)[None, :])
        if self.m == self.rank:  # nothing lies off the range, where rounding errors would be divided by shift
            return solved
        return solved + (v - self.from_left(within)) / shift

    def gram_log_det(self, scale: Array, shift: Array) -> Array:
        """log det(scale A A^T + shift I)."""
        xp = namespace(self.s)
        beyond = self.m - self.rank
        seen = self.spectral_sum(xp.log(scale * self.s**2 + shift))
        return seen + beyond * xp.log(shift) if beyond else seen

    def spectral_sum(self, on: Array) -> Array:
        """The sum of on_j over the right singular vectors, a scalar."""
        return namespace(self.s).sum(on)

    def spectral(self, x: Array, on: Array, off: Array | float) -> Array:
        """V f V^T x, (n, *shape): right singular vectors times `on`, shaped as singular_values, others times `off`."""
        return off * x + self.from_right(self.to_right(x) * (on - off)[None])

    def spectral_energy(self, x: Array, on: Array) -> Array:
        """The sum of on_j <v_j, x>^2 over the right singular vectors v_j, (n,)."""
        return self.to_right(x) ** 2 @ on

    def project_range(self, x: Array) -> Array:
        """A^+ A x, the part of x that the measurement sees: (n, *shape)."""
        return self.from_right(self.to_right(x))

    @property
    def singular_values(self) -> Array:
        """Those above zero, (r,)."""
        return self.s

    @property
    def norm(self) -> Array:
        """The largest singular value."""
        return namespace(self.s).max(self.s)

    @property
    def rank(self) -> int:
        return int(self.s.shape[0])
