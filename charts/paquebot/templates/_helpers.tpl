{{- define "paquebot.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* Release and chart, once if the release is named like the chart. Short enough for suffixes. */}}
{{- define "paquebot.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "paquebot.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "paquebot.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Of the default service's Job, which is also a label of its pods: 63 characters at most. */}}
{{- define "paquebot.defaultServiceName" -}}
{{- printf "%s-default-service" (include "paquebot.fullname" . | trunc 47 | trimSuffix "-") }}
{{- end }}

{{/* Labels that select the operator's pods; never changed, as a Deployment's selector can't be. */}}
{{- define "paquebot.selector" -}}
app.kubernetes.io/name: {{ include "paquebot.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "paquebot.labels" -}}
{{ include "paquebot.selector" . }}
{{ include "paquebot.commonLabels" . }}
{{- end }}

{{/* Labels of what isn't the operator: no component. */}}
{{- define "paquebot.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "paquebot.otherLabels" -}}
app.kubernetes.io/name: {{ include "paquebot.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{ include "paquebot.commonLabels" . }}
{{- end }}

{{- define "paquebot.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "paquebot.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* A digest beats the tag. */}}
{{- define "paquebot.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether an object for the Prometheus operator is wanted: give (list context mode). */}}
{{- define "paquebot.wanted" -}}
{{- $mode := index . 1 }}
{{- if or (eq $mode "Enabled") (and (eq $mode "Auto") ((index . 0).Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) }}yes{{ end }}
{{- end }}

{{/* What runs in the release's namespace must be seen by the operator. Give (list context what). */}}
{{- define "paquebot.needOwnNamespace" -}}
{{- $context := index . 0 }}
{{- if and $context.Values.watchNamespaces (not (has $context.Release.Namespace $context.Values.watchNamespaces)) }}
{{- fail (printf "%s lives in the release's namespace: add %s to watchNamespaces" (index . 1) $context.Release.Namespace) }}
{{- end }}
{{- end }}

{{/* Whether a test makes sense here: the operator must see the namespace that it runs in. */}}
{{- define "paquebot.testable" -}}
{{- if and .Values.test.enabled (or (not .Values.watchNamespaces) (has .Release.Namespace .Values.watchNamespaces)) }}yes{{ end }}
{{- end }}

{{/* Settings that Jobs and the test share with the operator's pods. */}}
{{- define "paquebot.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.operator.podSecurityContext | nindent 2 }}
{{- end }}

{{- define "paquebot.container" -}}
image: {{ include "paquebot.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.operator.securityContext | nindent 2 }}
{{- end }}
