"""Names in words: what tables and settings call by a short name is called the same on every page."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "baseline_at_limit": "the baseline is as flexible as it may be",
        "lipid_artefact": "a lipid artefact was fitted apart",
        "macromolecules_unlike": "the macromolecules are unlike those that are known",
        "misfit": "the residual is far above the noise",
        "no_signal": "no metabolite stands above the noise",
        "not_converged": "the solver stopped early",
        "refitted": "fitted again from another start",
        "relaxation_correction=incomplete": "relaxation was not corrected in full",
        "te_mismatch": "fitted with a basis set of another echo time",
        "tissue_correction=none": "not corrected for tissue",
    }
)
"""Marks of single numbers (column ``flags``) in words; ``docs/outputs.md`` has the codes."""

_FLAG_ENDINGS = {"_at_bound": "{} stopped at its limit"}
_FLAG_STARTS = {"only=": "sum of {} alone, the only part the basis set holds", "no_": "{} came out as zero"}

PROTOCOL: Mapping[str, str] = MappingProxyType(
    {
        "echo_time": "echo time",
        "repetition_time": "repetition time",
        "voxel_size_mm": "voxel size",
        "field_mhz": "carrier frequency",
    }
)
"""Fields of [protocol] whose name is not a word."""


def flag_words(flag: str) -> str:
    """Return a mark of a number in words.

    Examples
    --------
    >>> flag_words("misfit"), flag_words("shift_at_bound")
    ('the residual is far above the noise', 'shift stopped at its limit')
    >>> flag_words("only=GPC")
    'sum of GPC alone, the only part the basis set holds'
    """
    if flag in FLAGS:
        return FLAGS[flag]
    for start, words in _FLAG_STARTS.items():
        if flag.startswith(start):
            return words.format(flag.removeprefix(start).replace("+", " and "))
    for end, words in _FLAG_ENDINGS.items():
        if flag.endswith(end):
            return words.format(flag.removesuffix(end))
    return flag.replace("_", " ").replace("=", ": ")


def protocol_title(name: str) -> str:
    """Return a field of the protocol in words."""
    return PROTOCOL.get(name, name)


def first_upper(text: str) -> str:
    """Return a text with its first letter in upper case, as a heading has it.

    Examples
    --------
    >>> first_upper("share of transients kept"), first_upper("SNR of tCr")
    ('Share of transients kept', 'SNR of tCr')
    """
    return text[:1].upper() + text[1:]
