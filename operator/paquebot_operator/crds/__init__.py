"""CustomResourceDefinitions, made from the API's models: what the API server refuses and the models refuse is the same.

``python -m paquebot_operator.crds`` writes them for the charts, and the reference of all fields. Knows the API only.
"""
