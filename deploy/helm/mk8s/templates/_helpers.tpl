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

{{- /* What is said of one of the other programs: a dict of its name and the root. */ -}}
{{- define "mk8s.component.name" -}}
{{- printf "%s-%s" (.root.Release.Name | trunc 48 | trimSuffix "-") .component -}}
{{- end }}

{{- define "mk8s.component.selector" -}}
app.kubernetes.io/name: mk8s-{{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "mk8s.component.labels" -}}
{{ include "mk8s.component.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- /* Where its pods run and as whom, which is the same for all programs. */ -}}
{{- define "mk8s.component.pod" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels: {{- include "mk8s.component.selector" . | nindent 14 }}
nodeSelector:
  kubernetes.io/os: linux
  {{- with .root.Values.nodeSelector }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- if not (kindIs "invalid" .root.Values.runAsUser) }}
  runAsUser: {{ int64 .root.Values.runAsUser }}
  {{- end }}
  {{- if not (kindIs "invalid" .root.Values.runAsGroup) }}
  runAsGroup: {{ int64 .root.Values.runAsGroup }}
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "mk8s.component.disruptions" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "mk8s.component.name" . }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "mk8s.component.labels" . | nindent 4 }}
spec:
  minAvailable: {{ .root.Values.podDisruptionBudget.minAvailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "mk8s.component.selector" . | nindent 6 }}
{{- end }}

{{- define "mk8s.apiserver.tlsSecret" -}}
{{- if eq .root.Values.apiserver.tls.mode "given" -}}
{{ required "apiserver.tls.secretName is needed with apiserver.tls.mode given: a Secret with tls.crt, tls.key and ca.crt" .root.Values.apiserver.tls.secretName }}
{{- else -}}
{{ include "mk8s.component.name" . }}-tls
{{- end -}}
{{- end }}
