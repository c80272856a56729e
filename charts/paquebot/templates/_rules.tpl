{{/* In each namespace that is watched. The operator's own table (cluster/permissions.py) is compared with this by a test. */}}
{{- define "paquebot.rules" -}}
# What users want; never written.
- apiGroups: [paquebot.dev]
  resources: [mailservices, maildomains, tables, mailfilters]
  verbs: [get, list, watch]
# Conditions, what is programmed, DNS records.
- apiGroups: [paquebot.dev]
  resources: [mailservices/status, maildomains/status, tables/status, mailfilters/status]
  verbs: [patch]
# Who must take a configuration; the annotation that makes the kubelet refresh a mount.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
# Those that objects name are read one by one, never listed; configuration and managed DKIM keys are written, and go with their owners.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch]
# Those that objects name.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
# Services of listeners, and the pods' account without a token.
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
# Volumes of queues; never deleted, they hold mail.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
# Where the Prometheus operator is.
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors, prometheusrules]
  verbs: [get, list, create, patch, delete]
# Transitions of conditions.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
