// Loads the configuration from file, environment and flags; describes, prints and watches it.
export { originOf } from './address.ts'
export { AUTO_BATCHING } from './batching-options.ts'
export { ConfigError, type ConfigMistake } from './config-error.ts'
export { exposedNames } from './exposed-names.ts'
export { credentialMistake, definitionOfCredential, mayBeDiscovered } from './model-credential.ts'
export {
  headerValueMistake,
  type CredentialConfig,
  type InlineCredential,
  type NamedCredential,
} from './credential-schema.ts'
export { configJsonSchema } from './json-schema.ts'
export { laneNames } from './lane-names.ts'
export { loadConfig, type ConfigSources } from './load.ts'
export { configMarkdown } from './markdown.ts'
export { parseModelFlag } from './model-flag.ts'
export { readPassword } from './password.ts'
export { printConfig } from './print.ts'
export type { ConfigInput, ConnectorConfig, ModelConfig, NamedCredentials, TlsConfig } from './schema.ts'
export { Secret } from './secret.ts'
export { shownValue } from './shown.ts'
export { readTlsFiles, type TlsTrust } from './tls-files.ts'
export { explainTls } from './tls-remedy.ts'
export { watchConfig } from './watch.ts'
