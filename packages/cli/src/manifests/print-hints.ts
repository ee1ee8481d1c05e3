// Reports on standard error what the printed objects still need.
import { note } from '../passwd/file-access.ts'
import type { ManifestFlags } from './manifest-flags.ts'

/** `config` is the content of the configuration file. */
export function printHints(
  flags: ManifestFlags,
  config: Readonly<Record<string, unknown>> | undefined,
): void {
  if (flags.modelNamespace !== undefined) hintAtKubeflow(flags)
  if (flags.only === 'traefik' || flags.only === 'kubeflow') return
  if (flags.only !== 'connector') hintAtBroker(flags)
  if (flags.only === undefined) warnAboutOtherBroker(flags, config)
  if (flags.only !== 'mosquitto' && flags.config === undefined && flags.model === undefined) {
    note('No models are configured. Add them with --model NAME=URL or --config FILE.')
  }
}

function hintAtKubeflow({
  mode,
  ambient,
  modelToken,
  modelNamespace,
  namespace,
  inferenceService,
}: ManifestFlags): void {
  if (mode === 'knative' && modelToken === undefined) {
    note(
      "warning: Knative's gateway and activator hide the caller's identity, so these policies also admit every other pod that may call the gateway. With --model-token, the policies also check the identity in the connector's token.",
    )
  }
  if (ambient === true)
    note(
      'Ambient mode: the policies restrict only who calls, not the paths, and they require that the models have no waypoint.',
    )
  if (
    mode !== 'knative' &&
    modelToken === undefined &&
    modelNamespace === namespace &&
    inferenceService === undefined
  ) {
    note(`No policy is needed: Kubeflow allows calls between pods of the namespace "${modelNamespace}".`)
  }
}

function hintAtBroker(flags: ManifestFlags): void {
  const { passwordFile, existingSecret, port, tlsHost, tlsSecret, expose = 'traefik' } = flags
  if (passwordFile === undefined && existingSecret === undefined) {
    note(
      'warning: no --password-file: the broker will reject every client, and applying these objects replaces the users of an existing broker. Use --password-file FILE or --existing-secret.',
    )
  }
  if (port === undefined || expose !== 'traefik') return
  const tls = tlsHost === undefined ? '' : ` --tls-host ${tlsHost} --tls-secret ${tlsSecret}`
  note(
    `Traefik must listen on port ${port}. For the values of its Helm chart: inferwire manifests --only traefik --port ${port}${tls}`,
  )
}

function warnAboutOtherBroker(
  { config: file, mosquittoNamespace: namespace = 'mosquitto' }: ManifestFlags,
  config: Readonly<Record<string, unknown>> | undefined,
): void {
  const url = (config?.['broker'] as { readonly url?: unknown } | undefined)?.url
  if (typeof url !== 'string') return
  const host = new URL(url).hostname
  const service = `mosquitto.${namespace}`
  if ([service, `${service}.svc`, `${service}.svc.cluster.local`].includes(host)) return
  note(
    `warning: ${file} connects the connector to another broker, ${host}. To print no broker, use --only connector.`,
  )
}
