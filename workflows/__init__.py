"""Nipype workflows, installed as ``mrs_pipeline.workflows``."""
