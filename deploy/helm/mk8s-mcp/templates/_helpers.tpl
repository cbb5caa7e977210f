{{- define "mcp.name" -}}
{{- if contains "mcp" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-mcp" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "mcp.selector" -}}
app.kubernetes.io/name: mk8s-mcp
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mcp.labels" -}}
{{ include "mcp.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "mcp.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (include "mcp.name" .) }}
{{- end }}

{{- /* Names of what isn't in a namespace. */ -}}
{{- define "mcp.uniqueName" -}}
{{ include "mcp.name" . }}-{{ .Release.Namespace }}
{{- end }}

{{- define "mcp.check" -}}
{{- if and (not .Values.oauth) (not .Values.allowAnonymous) }}
{{- fail "nobody could come in: set oauth (whose tokens are taken), or allowAnonymous=true for whoever reaches the Service" }}
{{- end }}
{{- if and .Values.oauth .Values.allowAnonymous }}
{{- fail "oauth and allowAnonymous are opposites: set one" }}
{{- end }}
{{- if and .Values.enableDownstreamOAuth (not .Values.oauth.kubernetes) }}
{{- fail "enableDownstreamOAuth needs oauth.kubernetes: how users get tokens for Kubernetes" }}
{{- end }}
{{- with .Values.capiMode }}
{{- if and .enabled (eq .credentials "user") (not $.Values.enableDownstreamOAuth) }}
{{- fail "capiMode.credentials=user needs enableDownstreamOAuth: users have no rights of their own otherwise; set that, or service-account" }}
{{- end }}
{{- if and .enabled (eq .credentials "service-account") (not .rbac.allowedNamespaces) (not .rbac.clusterWideSecrets) }}
{{- fail "capiMode.rbac: name the allowedNamespaces whose kubeconfigs are read, or set clusterWideSecrets" }}
{{- end }}
{{- if and .enabled $.Values.clusterName }}
{{- fail "clusterName: with capiMode the cluster is called by capiMode.managementName" }}
{{- end }}
{{- end }}
{{- if and .Values.allowAnonymous (ne .Values.mode "read-only") (not .Values.dryRun) }}
{{- fail "mode: who approves of a change must be known: set oauth instead of allowAnonymous, or dryRun=true" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.host is needed with ingress.enabled" }}
{{- end }}
{{- end }}
