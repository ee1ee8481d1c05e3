// Generates files in charts/inferwire: broker configuration, start script, access rules, and the schema of the values.
import { aclText } from '@inferwire/mosquitto'
import { mosquittoConf, startScript } from './mosquitto/index.ts'
import { EXAMPLE_PASSWORD_FILE } from './options.ts'
import { valuesSchema, type JsonSchema } from './values-schema.ts'

// The names are not part of mosquitto.conf.
const TLS = { host: 'any', secretName: 'any' }

/**
 * Returns the text of every generated file, keyed by its path below charts/inferwire. `configSchema` is the schema of
 * the connector's configuration.
 */
export function chartFiles(configSchema: JsonSchema): Map<string, string> {
  return new Map([
    ...(['2.0', '2.1'] as const).flatMap((version): [string, string][] => [
      [`files/mosquitto-${version}.conf`, confTemplate({ version, tls: undefined, expose: 'none' })],
      [`files/mosquitto-${version}-tls.conf`, confTemplate({ version, tls: TLS, expose: 'none' })],
      [
        `files/mosquitto-${version}-mtls.conf`,
        confTemplate({ version, tls: { ...TLS, clientCaSecret: 'any' }, expose: 'none' }),
      ],
    ]),
    ['files/mosquitto-start.sh', startScript(false)],
    ['files/mosquitto-start-tls.sh', startScript(true)],
    ['files/acl.txt', aclTemplate()],
    ['files/password.txt', EXAMPLE_PASSWORD_FILE],
    ['values.schema.json', `${JSON.stringify(valuesSchema(configSchema), null, 2)}\n`],
  ])
}

// Returns the configuration, with template expressions for the values that depend on the memory limit.
function confTemplate(broker: Omit<Parameters<typeof mosquittoConf>[0], 'memoryMi'>): string {
  return mosquittoConf({ ...broker, memoryMi: 512 })
    .replace(/^(memory_limit) \d+$/m, '$1 {{ .memoryLimit }}')
    .replace(/^(max_queued_bytes) \d+$/m, '$1 {{ .queuedBytes }}')
    .replace(/^(max_queued_messages) \d+$/m, '$1 {{ .queuedMessages }}')
}

// Returns the access rules, with template expressions for the parts that depend on the chart's values.
function aclTemplate(): string {
  return aclText({ root: 'ROOT', connectorUser: 'CONNECTOR', observers: ['OBSERVER'] })
    .replace(
      /# Read.*\nuser OBSERVER\n(?:topic .*\n)+\n/,
      (block) => `{{ range .observers }}${block}{{ end }}`,
    )
    .replaceAll('ROOT', '{{ .root }}')
    .replaceAll('CONNECTOR', '{{ .connector }}')
    .replaceAll('OBSERVER', '{{ . }}')
}
