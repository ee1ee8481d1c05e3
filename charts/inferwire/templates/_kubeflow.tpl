{{- /* "mesh" if the connector's pod belongs to Istio's mesh; otherwise empty. */ -}}
{{- define "inferwire.inMesh" -}}
{{- if and .Values.kubeflow.modelNamespace (not .Values.modelToken.enabled) }}mesh{{ end }}
{{- end }}

{{- /* Labels that put the pod into the mesh. */ -}}
{{- define "inferwire.meshLabels" -}}
{{- if not (include "inferwire.inMesh" .) }}{{ else if .Values.kubeflow.ambient -}}
istio.io/dataplane-mode: ambient
sidecar.istio.io/inject: 'false'
{{- else -}}
sidecar.istio.io/inject: 'true'
{{- end }}
{{- end }}

{{- /* The sidecar starts before the connector, and ends after it. */ -}}
{{- define "inferwire.meshAnnotations" -}}
{{- if and (include "inferwire.inMesh" .) (not .Values.kubeflow.ambient) -}}
sidecar.istio.io/nativeSidecar: 'true'
proxy.istio.io/config: |
  holdApplicationUntilProxyStarts: true
  proxyMetadata:
    EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "true"
{{- end }}
{{- end }}

{{- /* Egress of a connector with models in the mesh: the models or the gateway, istiod, and the configured servers. */ -}}
{{- define "inferwire.meshEgress" -}}
{{- $values := .Values.kubeflow }}
{{- $toGateway := or (eq $values.mode "knative") .Values.modelToken.enabled }}
{{- $isSidecar := and (include "inferwire.inMesh" .) (not $values.ambient) }}
{{- $ports := list }}
{{- if $toGateway }}{{ $ports = list 8080 (.Values.modelToken.enabled | ternary 8443 8081) }}{{ end }}
{{- if $isSidecar }}{{ $ports = append $ports 15012 }}{{ end }}
{{- if and $toGateway $values.ambient }}{{ $ports = append $ports 15008 }}{{ end }}
{{- $config := include "inferwire.config" . | fromYaml }}
{{- $urls := list }}
{{- with dig "broker" "url" "" $config }}{{ $urls = append $urls . }}{{ end }}
{{- with dig "discovery" "gateway" "url" "" $config }}{{ $urls = append $urls . }}{{ end }}
{{- range $model := $config.models }}{{ with $model.url }}{{ $urls = append $urls . }}{{ end }}{{ end }}
{{- range $credential := $config.credentials }}{{ with $credential.tokenUrl }}{{ $urls = append $urls . }}{{ end }}{{ end }}
{{- $namespaces := list }}
{{- $discovered := without (dig "discovery" "namespaces" (list) $config) "*" }}
{{- $outside := list 443 6443 }}
{{- $defaults := dict "mqtt" 1883 "mqtts" 8883 "ws" 80 "wss" 443 "http" 80 "https" 443 }}
{{- range $urls }}
{{- $url := urlParse . }}
{{- $host := regexReplaceAll ":[0-9]+$" $url.host "" }}
{{- if regexMatch "^[^.]+\\.[^.]+\\.svc(\\.|$)" $host }}
{{- $namespaces = append $namespaces (index (splitList "." $host) 1) }}
{{- else }}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" }}
{{- $outside = append $outside (empty $port | ternary (get $defaults $url.scheme) ($port | int)) }}
{{- end }}
{{- end }}
{{- $namespaces = concat $namespaces $discovered }}
{{- if $toGateway }}{{ $namespaces = without $namespaces "istio-system" }}{{ else }}{{ $namespaces = append $namespaces $values.modelNamespace }}{{ end }}
{{- if $ports }}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: istio-system
  ports:
    {{- range $ports }}
    - protocol: TCP
      port: {{ . }}
    {{- end }}
{{- end }}
{{- range uniq $namespaces }}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ . | quote }}
{{- end }}
- {{ include "inferwire.anyAddress" . | nindent 2 | trim }}
  ports:
    {{- range uniq $outside }}
    - protocol: TCP
      port: {{ . }}
    {{- end }}
{{- end }}

{{- /* Every address except link-local ones, which clouds use for their metadata services. */ -}}
{{- define "inferwire.anyAddress" -}}
to:
  - namespaceSelector: {}
  - ipBlock:
      cidr: 0.0.0.0/0
      except:
        - 169.254.0.0/16
  - ipBlock:
      cidr: ::/0
      except:
        - fe80::/10
        - fd00:ec2::/32
{{- end }}
