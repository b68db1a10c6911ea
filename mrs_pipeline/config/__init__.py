"""Room of the settings: study.toml as frozen models, and presets as data."""

from mrs_pipeline.config.load import load_study, locate_files, portable, settings_files, settings_hash
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
    "locate_files",
    "portable",
    "preset_names",
    "read_preset",
    "settings_files",
    "settings_hash",
]
