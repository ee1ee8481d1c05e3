{{- /* Fails if the memory limit is below `min` MiB, or below the memory request. */ -}}
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

{{- /* Fails for mounts that overlap, and for files in the configuration that are not mounted. */ -}}
{{- define "inferwire.checkMounts" -}}
{{- $taken := list "/etc/inferwire/config" "/etc/inferwire/broker" "/var/run/secrets/inferwire" "/var/lib/inferwire" }}
{{- range .Values.extraVolumeMounts }}
{{- include "inferwire.checkOverlap" (dict "value" "extraVolumeMounts" "path" (clean .mountPath) "taken" $taken) }}
{{- end }}
{{- range .Values.secretMounts }}
{{- include "inferwire.checkOverlap" (dict "value" "secretMounts" "path" .mountPath "taken" $taken) }}
{{- $taken = append $taken .mountPath }}
{{- end }}
{{- range .Values.extraVolumes }}
{{- if or (has .name (list "config" "state" "broker" "token")) (regexMatch "^secret-[0-9]+$" .name) }}
{{- fail (printf "extraVolumes cannot contain the name %q: a volume of the chart has it" .name) }}
{{- end }}
{{- end }}
{{- $mounted := list "/etc/inferwire/config" }}
{{- if .Values.brokerSecret }}{{ $mounted = append $mounted "/etc/inferwire/broker" }}{{ end }}
{{- if .Values.modelToken.enabled }}{{ $mounted = append $mounted "/var/run/secrets/inferwire" }}{{ end }}
{{- range concat (.Values.secretMounts | default list) (.Values.extraVolumeMounts | default list) }}
{{- $mounted = append $mounted (clean .mountPath) }}
{{- end }}
{{- /* A model's example is a request, whose keys may have any name. */ -}}
{{- $config := deepCopy .Values.config }}
{{- range $name, $model := $config.models }}{{ $_ := unset $model "example" }}{{ end }}
{{- include "inferwire.checkFiles" (dict "path" "config" "value" $config "mounted" $mounted) }}
{{- end }}

{{- define "inferwire.checkOverlap" -}}
{{- range .taken }}
{{- if or (eq . $.path) (hasPrefix (printf "%s/" .) $.path) (hasPrefix (printf "%s/" (trimSuffix "/" $.path)) .) }}
{{- fail (printf "%s has %q, which overlaps with the mount %s" $.value $.path .) }}
{{- end }}
{{- end }}
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

{{- /* Fails if the image or a pull secret is a string, which is the old form. */ -}}
{{- define "inferwire.checkOldForms" -}}
{{- $path := .path }}
{{- if kindIs "string" .values.image }}
{{- fail (printf "%simage is now a map: use %simage.repository and %simage.tag" $path $path $path) }}
{{- end }}
{{- range $index, $secret := .values.imagePullSecrets }}
{{- if kindIs "string" $secret }}
{{- fail (printf "%simagePullSecrets[%d] is now a map: use {name: %s}" $path $index $secret) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Fails for old names of the connector's options. */ -}}
{{- define "inferwire.checkOldOptions" -}}
{{- if hasKey (.broker | default dict) "protocolVersion" }}
{{- fail "config.broker.protocolVersion was renamed: use config.broker.mqttVersion; its values are 5 and 3.1.1" }}
{{- end }}
{{- range $name, $model := .models }}
{{- range $old, $new := dict "protocol" "protocolVersion" "as" "modelName" }}
{{- if hasKey $model $old }}
{{- fail (printf "config.models.%s.%s was renamed: use config.models.%s.%s" $name $old $name $new) }}
{{- end }}
{{- end }}
{{- if and (kindIs "map" $model.credential) (hasKey ($model.credential | default dict) "file") }}
{{- fail (printf "config.models.%s.credential.file was renamed: use config.models.%s.credential.tokenFile" $name $name) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Fails for labels that the chart sets: selectors use some of them, and YAML has no duplicate keys. */ -}}
{{- define "inferwire.checkPod" -}}
{{- range $label, $_ := .values.podLabels }}
{{- if has $label (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/component" "app.kubernetes.io/part-of" "app.kubernetes.io/managed-by") }}
{{- fail (printf "%spodLabels cannot contain %q: the chart sets it" $.path $label) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Fails for text that is not a password file, such as a file name. Never prints a line, because it may be a password. */ -}}
{{- define "mosquitto.checkPasswordFile" -}}
{{- if and .passwordFile (eq .passwords "existing") }}
{{- fail "mosquitto.passwordFile has no effect with mosquitto.passwords \"existing\"" }}
{{- end }}
{{- range $index, $line := splitList "\n" (.passwordFile | default "") }}
{{- if not (regexMatch "^(#.*|[^:]+:[$].+)?$" (trim $line)) }}
{{- fail (printf "mosquitto.passwordFile, line %d: expected user:$... Pass the file with --set-file mosquitto.passwordFile=FILE. Hash passwords in plain text with inferwire passwd -U FILE" (add $index 1)) }}
{{- end }}
{{- end }}
{{- end }}
