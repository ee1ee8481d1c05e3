{{- define "inferwire.name" -}}
{{ .Values.name | default .Release.Name }}
{{- end }}

{{- define "inferwire.selector" -}}
app.kubernetes.io/name: inferwire
app.kubernetes.io/instance: {{ include "inferwire.name" . }}
{{- end }}

{{- define "inferwire.labels" -}}
{{ include "inferwire.selector" . }}
app.kubernetes.io/part-of: inferwire
{{- end }}

{{- /* The configuration: what the installation decides, and what the values say on top. */ -}}
{{- define "inferwire.config" -}}
{{- $broker := dict }}
{{- if .Values.mosquitto.enabled }}
{{- $_ := set $broker "url" (printf "mqtt://%s.%s.svc:1883" .Values.mosquitto.name .Release.Namespace) }}
{{- end }}
{{- if .Values.brokerSecret }}
{{- $_ := set $broker "username" "inferwire" }}
{{- $_ := set $broker "passwordFile" "/etc/inferwire/broker/password" }}
{{- end }}
{{- $_ := set $broker "sessionExpirySeconds" 3600 }}
{{- if gt (int .Values.replicas) 1 }}
{{- $_ := set $broker "share" "inferwire" }}
{{- end }}
{{- $defaults := dict "broker" $broker "models" dict "admin" (dict "host" "0.0.0.0") }}
{{- toYaml (mergeOverwrite $defaults (deepCopy .Values.config)) }}
{{- end }}

{{- define "inferwire.adminPort" -}}
{{ dig "admin" "port" 8383 .Values.config | int }}
{{- end }}

{{- /* The rest of the limit is for request bodies and for Node.js itself. */ -}}
{{- define "inferwire.heapOptions" -}}
{{- $memory := int .Values.memoryMi }}
{{- $semiSpace := ternary 16 (ternary 8 (ternary 4 2 (ge $memory 128)) (ge $memory 256)) (ge $memory 512) -}}
--max-old-space-size={{ min (div (mul $memory 3) 4) (sub $memory 56) }} --max-semi-space-size={{ $semiSpace }}
{{- end }}

{{- /* How long a pod stays on a node that is lost; Kubernetes' own is 300 s. */ -}}
{{- define "inferwire.tolerations" -}}
tolerations:
  {{- range list "not-ready" "unreachable" }}
  - key: node.kubernetes.io/{{ . }}
    operator: Exists
    effect: NoExecute
    tolerationSeconds: 30
  {{- end }}
{{- end }}

{{- define "mosquitto.selector" -}}
app.kubernetes.io/name: mosquitto
app.kubernetes.io/instance: {{ .Values.mosquitto.name }}
{{- end }}

{{- define "mosquitto.labels" -}}
{{ include "mosquitto.selector" . }}
app.kubernetes.io/part-of: inferwire
{{- end }}

{{- define "mosquitto.metadata" -}}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "mosquitto.labels" . | nindent 2 }}
{{- end }}

{{- define "inferwire.metadata" -}}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "inferwire.labels" . | nindent 2 }}
{{- end }}

{{- /* "true" where the broker itself speaks TLS; with Traefik it ends there. */ -}}
{{- define "mosquitto.hasTlsListener" -}}
{{- if and .Values.mosquitto.tls.host (ne .Values.mosquitto.expose "traefik") }}true{{ end }}
{{- end }}

{{- define "mosquitto.conf" -}}
{{- $tls := ternary "-tls" "" (eq (include "mosquitto.hasTlsListener" .) "true") }}
{{- $memory := int .Values.mosquitto.memoryMi }}
{{- $limit := mul (min (div (mul $memory 3) 4) (sub $memory 16)) 1048576 }}
{{- $bounds := dict "memoryLimit" $limit "queuedBytes" (mul $memory 262144) "queuedMessages" (mul $memory 200) "Template" .Template }}
{{- tpl (.Files.Get (printf "files/mosquitto-%s%s.conf" .Values.mosquitto.version $tls)) $bounds }}
{{- end }}

{{- define "mosquitto.acl" -}}
{{- $connector := dig "broker" "username" "inferwire" .Values.config }}
{{- $root := dig "root" "infer" .Values.config }}
{{- tpl (.Files.Get "files/acl.txt") (dict "root" $root "connector" $connector "observers" .Values.mosquitto.observers "Template" .Template) }}
{{- end }}

{{- /* Nothing where it is in a Secret of somebody else. */ -}}
{{- define "mosquitto.passwordFile" -}}
{{- with .Values.mosquitto }}
{{- if ne .passwords "existing" }}
{{- .passwordFile | default ($.Files.Get "files/password.txt") }}
{{- end }}
{{- end }}
{{- end }}

{{- define "mosquitto.image" -}}
{{ .Values.mosquitto.image | default (get (dict "2.0" "eclipse-mosquitto:2.0.22" "2.1" "eclipse-mosquitto:2.1.2-alpine") .Values.mosquitto.version) }}
{{- end }}

{{- define "mosquitto.traefikApi" -}}
{{ eq .Values.mosquitto.traefikApi "v2" | ternary "traefik.containo.us" "traefik.io" }}/v1alpha1
{{- end }}

{{- /* By the Service's address, which refuses at once while there is no broker; that of a pod that is gone is silent. */ -}}
{{- define "mosquitto.nativeLB" -}}
{{- if ne .Values.mosquitto.traefikApi "v2" }}nativeLB: true{{ end }}
{{- end }}
