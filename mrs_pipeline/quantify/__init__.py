"""Room: from amplitudes to ratios and concentrations."""

from mrs_pipeline.quantify.amplitudes import amplitudes_only
from mrs_pipeline.quantify.concentrations import Concentration, Quantified, quantify
from mrs_pipeline.quantify.constants import Constant, Constants, load_constants
from mrs_pipeline.quantify.io import COLUMNS, data_dictionary, write_concentrations
from mrs_pipeline.quantify.relaxation import PulseTiming, ScanTiming
from mrs_pipeline.quantify.scale import ReceiverScale, receiver_scale
from mrs_pipeline.quantify.sensitivity import Alternative
from mrs_pipeline.quantify.uncertainty import Budget
from mrs_pipeline.quantify.water import WaterFit, fit_water

__all__ = [
    "COLUMNS",
    "Alternative",
    "Budget",
    "Concentration",
    "Constant",
    "Constants",
    "PulseTiming",
    "Quantified",
    "ReceiverScale",
    "ScanTiming",
    "WaterFit",
    "amplitudes_only",
    "data_dictionary",
    "fit_water",
    "load_constants",
    "quantify",
    "receiver_scale",
    "write_concentrations",
]
