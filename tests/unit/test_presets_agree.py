"""Tables that stand in two rooms for a reason say the same."""

from mrs_pipeline.config import read_preset
from mrs_pipeline.synthetic.macromolecules import BIRCH_PEAKS


def test_the_macromolecules_of_the_generator_are_those_of_the_preset():
    # the generator does not read what the fit can read; both hold the table of Birch 2017
    lines = read_preset("macromolecules", "birch-3t")["components"][0]["lines"]
    assert tuple((line["ppm"], line["protons"], line["gauss_hz"]) for line in lines) == BIRCH_PEAKS
