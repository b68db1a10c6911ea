"""Room of the settings: study.toml as frozen models, and presets as data."""

from mrs_pipeline.config.load import load_study, settings_hash
from mrs_pipeline.config.models import (
    AnalysisSection,
    BasisSection,
    ConvertScan,
    ConvertSection,
    FitSection,
    PreprocessSection,
    ProtocolFields,
    ProtocolSection,
    QcSection,
    QuantifySection,
    Section,
    Study,
    TissueSection,
)
from mrs_pipeline.config.presets import preset_names, read_preset

__all__ = [
    "AnalysisSection",
    "BasisSection",
    "ConvertScan",
    "ConvertSection",
    "FitSection",
    "PreprocessSection",
    "ProtocolFields",
    "ProtocolSection",
    "QcSection",
    "QuantifySection",
    "Section",
    "Study",
    "TissueSection",
    "load_study",
    "preset_names",
    "read_preset",
    "settings_hash",
]
