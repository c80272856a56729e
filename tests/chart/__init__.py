"""The Helm chart: rendered by Helm itself, judged by the operator's own models and by a real API server."""
