// Splits a topic into its levels and finds its mistakes.
import {
  defaultOperationOf,
  dialectOf,
  grpcMethod,
  isModelName,
  isOperationName,
  isPublishable,
  nearestName,
  operationMeaning,
  operationRoute,
  OPERATIONS,
  operationsOf,
  Problem,
  protocolOf,
  versionedDialects,
  type Dialect,
  type ProtocolVersion,
  type TopicSpace,
} from '@inferwire/protocol'
import { printable } from '../table.ts'

/** The options of a configured model that are needed to explain its topics. */
export interface ConfiguredModel {
  readonly url: string
  readonly protocolVersion?: ProtocolVersion | undefined
  /** The model's name on its server. */
  readonly modelName?: string | undefined
  readonly versions?: readonly string[]
  readonly defaultOperation?: string | undefined
}

/** The parts of a topic. Members that do not apply to the topic are absent. */
export interface TopicExplanation {
  readonly topic: string
  readonly kind: 'request' | 'reply' | 'cancel' | 'model card' | 'status' | 'filter' | 'unknown'
  readonly client?: string
  readonly model?: string
  readonly operation?: string
  readonly id?: string
  readonly connector?: string
  /** The topic of the reply if the request has no Response Topic. */
  readonly reply_topic?: string
  /** The topic of the request to which a reply or a cancel message belongs. */
  readonly request_topic?: string
  /** Method and URL of the connector's call; present only if a configuration is given. */
  readonly upstream?: string
  /** Sentences that describe what a message on this topic does. */
  readonly notes: readonly string[]
  /** Sentences that each describe a mistake; empty = valid. */
  readonly mistakes: readonly string[]
}

type Draft = { -readonly [Key in keyof TopicExplanation]: TopicExplanation[Key] } & {
  notes: string[]
  mistakes: string[]
}

const KINDS = ['request', 'reply', 'cancel', 'models', 'status']

/** Explains a topic; `models` contains the models of a configuration, keyed by exposed name. */
export function explainTopic(
  topic: string,
  topics: TopicSpace,
  models?: Readonly<Record<string, ConfiguredModel>>,
): TopicExplanation {
  const draft: Draft = { topic, kind: 'unknown', notes: [], mistakes: [] }
  const { root } = topics
  if (/[+#]/.test(topic) || topic.startsWith('$share/')) {
    draft.kind = 'filter'
    draft.mistakes.push(
      'This is a topic filter, because it has wildcards or a share name. Messages cannot be published to it.',
    )
    return draft
  }
  if (!isPublishable(topic)) {
    draft.mistakes.push(
      'The topic is empty or too long, or contains control characters, so brokers reject it.',
    )
  }
  if (!topic.startsWith(`${root}/`)) {
    draft.mistakes.push(`The topic does not begin with "${root}/". ${rootAdvice(topic, root)}`)
    return draft
  }
  const [kind = '', ...levels] = topic.slice(root.length + 1).split('/')
  if (kind === 'models' || kind === 'status') return explainRetained(draft, kind, levels, models)
  if (kind === 'request' || kind === 'reply' || kind === 'cancel') {
    draft.kind = kind
    return explainRequest(draft, kind, levels, topics, models)
  }
  const near = nearestName(kind, KINDS)
  draft.mistakes.push(
    `"${root}/" must be followed by one of ${KINDS.join(', ')}, not "${printable(kind)}".${near === undefined ? '' : ` Did you mean "${near}"?`}`,
  )
  return draft
}

function explainRequest(
  draft: Draft,
  kind: 'request' | 'reply' | 'cancel',
  levels: readonly string[],
  topics: TopicSpace,
  models: Readonly<Record<string, ConfiguredModel>> | undefined,
): TopicExplanation {
  const requestTopic = [topics.root, 'request', ...levels].join('/')
  try {
    const { client, model, operation, id } = topics.parseRequest(requestTopic)
    draft.client = client
    draft.model = model
    if (operation !== undefined) draft.operation = operation
    if (id !== undefined) draft.id = id
  } catch (error) {
    draft.mistakes.push(sentence(Problem.from(error).message.replace(requestTopic, draft.topic)))
    return draft
  }
  if (kind !== 'request') draft.request_topic = requestTopic
  const reply = topics.replyTopicOf(requestTopic)
  if (kind === 'request' && reply !== undefined) draft.reply_topic = reply
  if (kind === 'cancel') draft.notes.push('Cancels the request with the same id or Correlation Data.')
  judgeModel(draft, models)
  judgeOperation(draft)
  explainUpstream(draft, models)
  return draft
}

function judgeModel(draft: Draft, models: Readonly<Record<string, ConfiguredModel>> | undefined): void {
  const model = draft.model!
  if (!isModelName(model)) {
    draft.mistakes.push(
      `"${printable(model)}" cannot be the name of a model. Use letters, digits, ".", "_" and "-", and optionally "@version".`,
    )
    return
  }
  if (models === undefined || configured(models, model) !== undefined) return
  const names = Object.keys(models).flatMap((name) => [
    name,
    ...(models[name]!.versions ?? []).map((version) => `${name}@${version}`),
  ])
  const near = nearestName(model, names)
  draft.mistakes.push(
    names.length === 0
      ? `The configuration does not expose "${model}" or any other model.`
      : `The configuration does not expose "${model}".${near === undefined ? ` It exposes: ${names.join(', ')}.` : ` Did you mean "${near}"?`}`,
  )
}

function judgeOperation(draft: Draft): void {
  const { operation } = draft
  if (operation === undefined) {
    draft.notes.push("Without an operation, the default operation in the model's card is used.")
  } else if (isOperationName(operation)) {
    draft.notes.push(`${operationMeaning(operation)}.`)
  } else {
    const near = nearestName(operation, Object.keys(OPERATIONS))
    draft.mistakes.push(
      `There is no operation "${printable(operation)}". ${near === undefined ? `The operations are: ${Object.keys(OPERATIONS).join(', ')}.` : `Did you mean "${near}"?`}`,
    )
  }
}

function explainUpstream(draft: Draft, models: Readonly<Record<string, ConfiguredModel>> | undefined): void {
  const model = models === undefined ? undefined : configured(models, draft.model!)
  if (model === undefined || draft.kind !== 'request') return
  const { config, version, name } = model
  if (
    draft.operation === undefined &&
    config.defaultOperation === undefined &&
    config.protocolVersion === undefined
  ) {
    draft.upstream = `${config.url} (the connector queries the server for the protocol version and the default operation)`
    return
  }
  const dialects = dialectsOf(config, version)
  const operation = draft.operation ?? config.defaultOperation ?? defaultOperationOf(dialects)
  if (!isOperationName(operation)) return
  const dialect = dialectOf(operation, dialects)
  if (dialect === undefined) {
    draft.mistakes.push(
      `Model "${draft.model}" uses ${dialects.join(' and ')}, which has no operation "${operation}". Its operations are: ${operationsOf(dialects).join(', ')}.`,
    )
    return
  }
  if (protocolOf(config.protocolVersion).transport === 'grpc') {
    draft.upstream = `${grpcMethod(operation, dialect)} at ${config.url} (gRPC)`
    return
  }
  const { method, path } = operationRoute(operation, dialect, config.modelName ?? name, version)!
  draft.upstream = `${method} ${config.url.replace(/\/+$/, '')}${path}`
}

// If no protocol version is configured, the server may use any version.
function dialectsOf({ protocolVersion }: ConfiguredModel, version: string | undefined): readonly Dialect[] {
  return version === undefined ? protocolOf(protocolVersion).dialects : versionedDialects()
}

function configured(
  models: Readonly<Record<string, ConfiguredModel>>,
  model: string,
): { name: string; version: string | undefined; config: ConfiguredModel } | undefined {
  const [name = '', version] = model.split('@')
  const config = Object.hasOwn(models, name) ? models[name]! : undefined
  if (config === undefined) return undefined
  return version === undefined || config.versions?.includes(version) === true
    ? { name, version, config }
    : undefined
}

function explainRetained(
  draft: Draft,
  kind: 'models' | 'status',
  levels: readonly string[],
  models: Readonly<Record<string, ConfiguredModel>> | undefined,
): TopicExplanation {
  draft.kind = kind === 'models' ? 'model card' : 'status'
  const [name = ''] = levels
  if (levels.length !== 1 || name === '') {
    draft.mistakes.push(
      `"${kind}/" must be followed by exactly one level: the name of a ${kind === 'models' ? 'model' : 'connector'}.`,
    )
    return draft
  }
  if (kind === 'models') {
    draft.model = name
    draft.notes.push(
      'Retained: the description, operations, tensors and an example of the model. Cleared when the model is removed.',
    )
    judgeModel(draft, models)
  } else {
    draft.connector = name
    draft.notes.push('Retained: the state of the connector: online, draining or offline.')
  }
  return draft
}

function rootAdvice(topic: string, root: string): string {
  const levels = topic.split('/')
  const at = levels.findIndex((level) => KINDS.includes(level))
  if (topic.startsWith('/')) return 'A leading "/" creates an empty first level.'
  if (at > 0) return `If the root is "${printable(levels.slice(0, at).join('/'))}", set it with --root.`
  return `The form of a request topic is ${root}/request/{client}/{model}[/{operation}[/{id}]].`
}

function sentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`
}
