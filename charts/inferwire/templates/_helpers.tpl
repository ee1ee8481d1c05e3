{{- define "inferwire.name" -}}
{{ .Values.nameOverride | default .Chart.Name }}
{{- end }}

{{- define "inferwire.fullname" -}}
{{- $name := include "inferwire.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name }}
{{- end }}
{{- end }}

{{- define "inferwire.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "inferwire.fullname" .) "default") }}
{{- end }}

{{- define "inferwire.selectorLabels" -}}
app.kubernetes.io/name: {{ include "inferwire.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Labels of the pods, without helm.sh/chart, so that a new chart version alone does not restart them. */ -}}
{{- define "inferwire.podLabels" -}}
{{ include "inferwire.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: connector
app.kubernetes.io/part-of: inferwire
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "inferwire.chartLabel" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "inferwire.labels" -}}
labels:
  {{- include "inferwire.chartLabel" . | nindent 2 }}
  {{- include "inferwire.podLabels" . | nindent 2 }}
{{- end }}

{{- define "inferwire.metadata" -}}
namespace: {{ .Release.Namespace }}
{{ include "inferwire.labels" . }}
{{- end }}

{{- /* Not empty if the connector finds its models in the cluster, which needs a token for the API server. */ -}}
{{- define "inferwire.discovers" -}}
{{- if dig "discovery" "enabled" false .Values.config }}true{{ end }}
{{- end }}

{{- /* The configuration: the settings for this cluster, overridden by the values. */ -}}
{{- define "inferwire.config" -}}
{{- $broker := dict }}
{{- if .Values.mosquitto.enabled }}
{{- $_ := set $broker "url" (printf "mqtt://%s.%s.svc:1883" .Values.mosquitto.fullnameOverride .Release.Namespace) }}
{{- end }}
{{- if .Values.brokerSecret }}
{{- $_ := set $broker "username" "inferwire" }}
{{- $_ := set $broker "passwordFile" "/etc/inferwire/broker/password" }}
{{- end }}
{{- $_ := set $broker "sessionExpirySeconds" 3600 }}
{{- if gt (int .Values.replicaCount) 1 }}
{{- $_ := set $broker "share" "inferwire" }}
{{- end }}
{{- $defaults := dict "broker" $broker "models" dict "admin" (dict "host" "0.0.0.0") }}
{{- toYaml (mergeOverwrite $defaults (deepCopy .Values.config)) }}
{{- end }}

{{- define "inferwire.adminPort" -}}
{{ dig "admin" "port" 8383 .Values.config | int }}
{{- end }}

{{- /* Converts a memory quantity in whole Mi or Gi to MiB. */ -}}
{{- define "inferwire.mebibytes" -}}
{{- $number := regexFind "^[0-9]+" . | int }}
{{- ternary (mul $number 1024) $number (hasSuffix "Gi" .) }}
{{- end }}

{{- /* Limits V8's heap. The rest of the memory limit is for request bodies and Node.js itself. */ -}}
{{- define "inferwire.heapOptions" -}}
{{- $memory := include "inferwire.mebibytes" .Values.resources.limits.memory | int }}
{{- $semiSpace := ternary 16 (ternary 8 (ternary 4 2 (ge $memory 128)) (ge $memory 256)) (ge $memory 512) -}}
--max-old-space-size={{ min (div (mul $memory 3) 4) (sub $memory 56) }} --max-semi-space-size={{ $semiSpace }}
{{- end }}

{{- /* Evict a pod 30 s after its node is lost, instead of 300 s. The user's tolerations with the same key replace these. */ -}}
{{- define "inferwire.tolerations" -}}
{{- $own := list }}
{{- range . }}{{ $own = append $own (.key | default "") }}{{ end }}
{{- $all := list }}
{{- range list "node.kubernetes.io/not-ready" "node.kubernetes.io/unreachable" }}
{{- if not (has . $own) }}
{{- $all = append $all (dict "key" . "operator" "Exists" "effect" "NoExecute" "tolerationSeconds" 30) }}
{{- end }}
{{- end }}
{{- with concat $all (. | default list) }}
{{- toYaml (dict "tolerations" .) }}
{{- end }}
{{- end }}

{{- define "mosquitto.selectorLabels" -}}
app.kubernetes.io/name: mosquitto
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mosquitto.podLabels" -}}
{{ include "mosquitto.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.mosquitto.version | quote }}
app.kubernetes.io/component: broker
app.kubernetes.io/part-of: inferwire
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "mosquitto.metadata" -}}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "inferwire.chartLabel" . | nindent 2 }}
  {{- include "mosquitto.podLabels" . | nindent 2 }}
{{- end }}

{{- /* "true" if the broker terminates TLS; if Traefik is in use, Traefik does. */ -}}
{{- define "mosquitto.hasTlsListener" -}}
{{- if and .Values.mosquitto.tls.host (ne .Values.mosquitto.expose "traefik") }}true{{ end }}
{{- end }}

{{- /* The port to which clients outside the cluster connect. */ -}}
{{- define "mosquitto.externalPort" -}}
{{- $hasTls := not (empty .Values.mosquitto.tls.host) }}
{{- $default := $hasTls | ternary 8883 5883 }}
{{- if eq .Values.mosquitto.expose "nodeport" }}{{ $default = $hasTls | ternary 31884 31883 }}{{ end }}
{{- if eq .Values.mosquitto.expose "loadbalancer" }}{{ $default = $hasTls | ternary 8883 1883 }}{{ end }}
{{- .Values.mosquitto.externalPort | default $default | int }}
{{- end }}

{{- define "mosquitto.conf" -}}
{{- $tls := ternary "-tls" "" (eq (include "mosquitto.hasTlsListener" .) "true") }}
{{- $memory := include "inferwire.mebibytes" .Values.mosquitto.resources.limits.memory | int }}
{{- $limit := mul (min (div (mul $memory 3) 4) (sub $memory 16)) 1048576 }}
{{- $bounds := dict "memoryLimit" $limit "queuedBytes" (mul $memory 262144) "queuedMessages" (mul $memory 200) "Template" .Template }}
{{- tpl (.Files.Get (printf "files/mosquitto-%s%s.conf" .Values.mosquitto.version $tls)) $bounds }}
{{- end }}

{{- define "mosquitto.acl" -}}
{{- $connector := dig "broker" "username" "inferwire" .Values.config }}
{{- $root := dig "root" "infer" .Values.config }}
{{- tpl (.Files.Get "files/acl.txt") (dict "root" $root "connector" $connector "observers" .Values.mosquitto.observers "Template" .Template) }}
{{- end }}

{{- /* The password file; empty if it is in an existing Secret. */ -}}
{{- define "mosquitto.passwordFile" -}}
{{- with .Values.mosquitto }}
{{- if ne .passwords "existing" }}
{{- .passwordFile | default ($.Files.Get "files/password.txt") }}
{{- end }}
{{- end }}
{{- end }}

{{- define "mosquitto.image" -}}
{{ .Values.mosquitto.image.repository }}:{{ .Values.mosquitto.image.tag | default (get (dict "2.0" "2.0.22" "2.1" "2.1.2-alpine") .Values.mosquitto.version) }}
{{- end }}

{{- define "mosquitto.traefikApi" -}}
{{ eq .Values.mosquitto.traefikApi "v2" | ternary "traefik.containo.us" "traefik.io" }}/v1alpha1
{{- end }}

{{- /* Routes to the Service's address, which refuses connections at once while no broker runs.
The address of a removed pod never answers. */ -}}
{{- define "mosquitto.nativeLB" -}}
{{- if ne .Values.mosquitto.traefikApi "v2" }}nativeLB: true{{ end }}
{{- end }}
