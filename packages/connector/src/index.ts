// The connector: answers inference requests from MQTT with the responses of KServe model servers.
export { describeMetrics } from './admin/index.ts'
export {
  ConfigError,
  configJsonSchema,
  configMarkdown,
  exposedNames,
  loadConfig,
  parseModelFlag,
  placeInFile,
  printConfig,
  readPassword,
  Secret,
  watchConfig,
  type ConfigInput,
  type ConfigMistake,
  type ConfigSources,
  type ConnectorConfig,
  type ModelConfig,
} from './config/index.ts'
export { configWarnings, type ConfigWarning } from './config-warnings.ts'
export {
  KubeApi,
  KubeError,
  collectionPath,
  type CallOptions,
  type FindOptions,
  type KubeKind,
  type KubeObject,
  type ListOptions,
} from './discovery/index.ts'
export { explainPolicy, type PolicyExplanation } from './policy-explanation.ts'
export { startConnector, type Connector, type ConnectorOptions } from './connector.ts'
export { openModelProbe, type ModelProbe } from './probe-model.ts'
export {
  classifyRefusal,
  REFUSALS,
  type RefusedAnswer,
  type RefusalKind,
  type RefusalName,
} from './endpoint/index.ts'
export { createLog, type Log, type LogOptions, type LogSink } from './telemetry/index.ts'
export { VERSION } from './version.ts'
