{{- define "mk8s.name" -}}
{{- if contains "webhook" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-webhook" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "mk8s.selector" -}}
app.kubernetes.io/name: mk8s-webhook
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mk8s.labels" -}}
{{ include "mk8s.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "mk8s.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (include "mk8s.name" .) }}
{{- end }}

{{- define "mk8s.image" -}}
{{ .image.repository }}:{{ .image.tag | default .appVersion }}
{{- end }}

{{- define "mk8s.tlsSecret" -}}
{{- if eq .Values.tls.mode "given" -}}
{{ required "tls.secretName is needed with tls.mode given: a Secret with tls.crt and tls.key" .Values.tls.secretName }}
{{- else -}}
{{ include "mk8s.name" . }}-tls
{{- end -}}
{{- end }}
