"""Dashboards as code, alerts with runbooks and tests, and pictures of real runs. Never imported by the product."""
