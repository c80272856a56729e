"""The custom resources of group ``paquebot.dev``, version ``v1alpha1``: what a person may write, bounded and described.

The CRDs' structural schema is generated from these models. It knows nothing of the MTA and reads nothing but values.
"""
