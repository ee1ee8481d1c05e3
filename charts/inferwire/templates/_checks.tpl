{{- /* Fails for a memory limit below `min` MiB, or below the request. */ -}}
{{- define "inferwire.checkMemory" -}}
{{- $limit := include "inferwire.mebibytes" .resources.limits.memory | int }}
{{- if lt $limit .min }}
{{- fail (printf "%s.limits.memory is %s; expected at least %dMi" .path .resources.limits.memory .min) }}
{{- end }}
{{- $request := dig "requests" "memory" "" .resources }}
{{- if and $request (gt (include "inferwire.mebibytes" $request | int) $limit) }}
{{- fail (printf "%s.requests.memory is %s, above the limit of %s" .path $request .resources.limits.memory) }}
{{- end }}
{{- end }}

{{- /* Fails for mounts that overlap, and for files of the configuration that are not mounted. */ -}}
{{- define "inferwire.checkMounts" -}}
{{- $taken := list "/etc/inferwire/config" "/etc/inferwire/broker" "/var/run/secrets/inferwire" "/var/lib/inferwire" }}
{{- range .Values.secretMounts }}
{{- $path := .mountPath }}
{{- range $taken }}
{{- if or (eq . $path) (hasPrefix (printf "%s/" .) $path) (hasPrefix (printf "%s/" $path) .) }}
{{- fail (printf "secretMounts has %q, which overlaps with the mount %s" $path .) }}
{{- end }}
{{- end }}
{{- $taken = append $taken $path }}
{{- end }}
{{- $mounted := list "/etc/inferwire/config" }}
{{- if .Values.brokerSecret }}{{ $mounted = append $mounted "/etc/inferwire/broker" }}{{ end }}
{{- if .Values.modelToken.enabled }}{{ $mounted = append $mounted "/var/run/secrets/inferwire" }}{{ end }}
{{- range concat .Values.secretMounts .Values.extraVolumeMounts }}{{ $mounted = append $mounted .mountPath }}{{ end }}
{{- include "inferwire.checkFiles" (dict "path" "config" "value" .Values.config "mounted" $mounted) }}
{{- end }}

{{- define "inferwire.checkFiles" -}}
{{- $mounted := .mounted }}
{{- $parent := .path }}
{{- range $key, $value := .value }}
{{- $path := printf "%s.%v" $parent $key }}
{{- if and (kindIs "string" $value) (regexMatch "^[a-zA-Z]+File$" (toString $key)) }}
{{- $isMounted := false }}
{{- range $mounted }}
{{- if and (eq (clean $value) $value) (or (eq . $value) (hasPrefix (printf "%s/" .) $value)) }}{{ $isMounted = true }}{{ end }}
{{- end }}
{{- if not $isMounted }}
{{- fail (printf "%s is %q, but no volume is mounted there. Mounted: %s. Mount a Secret with this file: secretMounts" $path $value (join ", " $mounted)) }}
{{- end }}
{{- else if or (kindIs "map" $value) (kindIs "slice" $value) }}
{{- include "inferwire.checkFiles" (dict "path" $path "value" $value "mounted" $mounted) }}
{{- end }}
{{- end }}
{{- end }}
