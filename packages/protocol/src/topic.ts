// Builds, parses and validates the topics of the wire contract.
import { Problem } from './problem.ts'

/** A parsed request topic: `{root}/request/{client}/{model}[/{operation}[/{id…}]]`. */
export interface RequestTopic {
  readonly client: string
  /** The model level as the client wrote it, `{model}` or `{model}@{version}`. */
  readonly model: string
  readonly operation: string | undefined
  /** The levels that the client appended as an id, including slashes. */
  readonly id: string | undefined
}

/** Longest accepted topic level, in UTF-16 code units. */
export const TOPIC_LEVEL_LENGTH_MAX = 255
/** Longest topic that the connector accepts or publishes to, in UTF-16 code units. */
export const TOPIC_LENGTH_MAX = 4096
// Mosquitto disconnects a client that publishes to a topic with more than 200 levels. Requesters choose reply
// topics, so a requester could make Mosquitto disconnect the connector.
const TOPIC_LEVELS_MAX = 128

// C0, DEL and C1: MQTT 5 §1.5.4 allows a receiver to treat text with these characters as malformed, as Mosquitto does.
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/
// RFC 1123 labels joined by dots cover `{name}` and `{name}.{namespace}`; aliases may have capitals and `_`.
const MODEL =
  /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?(?:@[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?)?$/
// UTF-8 cannot encode a lone surrogate (MQTT 5 §1.5.4).
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/

/** Whether text can be a client's identity: one topic level without `/`, `+`, `#` or control characters. */
export function isCleanLevel(level: string): boolean {
  return (
    level.length > 0 && level.length <= TOPIC_LEVEL_LENGTH_MAX && !/[/+#]/.test(level) && !CONTROL.test(level)
  )
}

/** Whether text can be the name of an exposed model: `{name}`, `{name}.{namespace}` or `{name}@{version}`. */
export function isModelName(name: string): boolean {
  return MODEL.test(name) && !name.includes('..')
}

/**
 * Whether a PUBLISH can be sent to this topic name (MQTT 5 §4.7): no wildcards, no control characters, limited length.
 */
export function isPublishable(topic: string): boolean {
  return (
    topic.length > 0 &&
    topic.length <= TOPIC_LENGTH_MAX &&
    levelsOf(topic) <= TOPIC_LEVELS_MAX &&
    !/[+#]/.test(topic) &&
    !CONTROL.test(topic) &&
    !LONE_SURROGATE.test(topic)
  )
}

/** Whether a topic name matches a topic filter (MQTT 5 §4.7). `$share/{group}/` is not part of a filter here. */
export function matchesFilter(filter: string, topic: string): boolean {
  const wanted = filter.split('/')
  const levels = topic.split('/')
  // MQTT 5 §4.7.2: a wildcard at the beginning does not match a topic that begins with `$`.
  if (topic.startsWith('$') && (wanted[0] === '#' || wanted[0] === '+')) return false
  for (const [index, level] of wanted.entries()) {
    // `#` includes the parent level: `a/#` matches `a` (§4.7.1.2).
    if (level === '#') return true
    if (index >= levels.length || (level !== '+' && level !== levels[index])) return false
  }
  return wanted.length === levels.length
}

function levelsOf(topic: string): number {
  let levels = 1
  for (let slash = topic.indexOf('/'); slash !== -1; slash = topic.indexOf('/', slash + 1)) levels += 1
  return levels
}

/** The topics below one root. `root` may have several levels (`plant/infer`). */
export class TopicSpace {
  readonly root: string
  /** Topic filter for the requests of all clients. */
  readonly requestFilter: string
  /**
   * Topic filter for cancel messages. It is not shared, so that a cancel message reaches every connector, including the
   * one that runs the request.
   */
  readonly cancelFilter: string
  /** Topic filter for the statuses of all connectors. */
  readonly statusFilter: string
  readonly #requestPrefix: string
  readonly #cancelPrefix: string
  readonly #replyPrefix: string
  readonly #statusPrefix: string

  /** @throws Error if the root is not a valid topic name. */
  constructor(root: string) {
    if (!root.split('/').every(isCleanLevel) || root.startsWith('$')) {
      throw new Error(`Root "${root}" is not a topic name: use levels without +, #, $ or control characters.`)
    }
    this.root = root
    this.requestFilter = `${root}/request/#`
    this.cancelFilter = `${root}/cancel/#`
    this.statusFilter = `${root}/status/+`
    this.#requestPrefix = `${root}/request/`
    this.#cancelPrefix = `${root}/cancel/`
    this.#replyPrefix = `${root}/reply/`
    this.#statusPrefix = `${root}/status/`
  }

  /** @throws Problem `bad_topic` that names the invalid level */
  parseRequest(topic: string): RequestTopic {
    return parseTopic(topic, this.#requestPrefix)
  }

  isCancel(topic: string): boolean {
    return topic.startsWith(this.#cancelPrefix)
  }

  /** Returns the request that a cancel topic refers to. @throws Problem `bad_topic` that names the invalid level */
  parseCancel(topic: string): RequestTopic {
    return parseTopic(topic, this.#cancelPrefix)
  }

  /**
   * Returns the default reply topic: the request topic with `request` replaced by `reply`.
   * Undefined if the topic is not a request topic or has no client level, or if the reply topic is not publishable.
   */
  replyTopicOf(requestTopic: string): string | undefined {
    if (!requestTopic.startsWith(this.#requestPrefix)) return undefined
    const rest = requestTopic.slice(this.#requestPrefix.length)
    const slash = rest.indexOf('/')
    if (!isCleanLevel(slash === -1 ? rest : rest.slice(0, slash))) return undefined
    const topic = this.#replyPrefix + rest
    return isPublishable(topic) ? topic : undefined
  }

  /**
   * Whether a client may use this Response Topic: a publishable name strictly inside `{root}/reply/{client}/`.
   * This excludes request topics, `$SYS` and the subtrees of other clients.
   */
  isOwnReplyTopic(client: string, topic: string): boolean {
    const prefixEnd = this.#replyPrefix.length + client.length
    return (
      topic.length > prefixEnd + 1 &&
      topic.startsWith(this.#replyPrefix) &&
      topic.startsWith(client, this.#replyPrefix.length) &&
      topic.charCodeAt(prefixEnd) === 0x2f &&
      isPublishable(topic)
    )
  }

  /**
   * Returns the filter for all clients' requests to a model. `model` is the model's name in topics, including the
   * version if it has one.
   */
  modelFilter(model: string): string {
    return `${this.#requestPrefix}+/${model}/#`
  }

  /** Returns the model level of a request topic, unchecked; undefined if there is none. */
  requestedModel(topic: string): string | undefined {
    if (!topic.startsWith(this.#requestPrefix)) return undefined
    const clientEnd = topic.indexOf('/', this.#requestPrefix.length)
    if (clientEnd === -1) return undefined
    const modelEnd = topic.indexOf('/', clientEnd + 1)
    return topic.slice(clientEnd + 1, modelEnd === -1 ? undefined : modelEnd)
  }

  /** Whether a request topic has an id after the operation. The levels are not checked. */
  hasRequestId(topic: string): boolean {
    return topic.startsWith(this.#requestPrefix) && levelsOf(topic.slice(this.#requestPrefix.length)) > 3
  }

  /** Returns the topic to which a client publishes a request. */
  request(client: string, model: string, operation?: string, id?: string): string {
    return this.#requestPrefix + path(client, model, operation, id)
  }

  /**
   * Returns the topic to which a client publishes to cancel a request. The request is identified by its id or its
   * Correlation Data.
   */
  cancel(client: string, model: string, operation?: string, id?: string): string {
    return this.#cancelPrefix + path(client, model, operation, id)
  }

  /** Returns the filter for all topics from which a client may receive messages. */
  replyFilter(client: string): string {
    return `${this.#replyPrefix}${client}/#`
  }

  /** Returns the topic of the retained model card. */
  card(model: string): string {
    return `${this.root}/models/${model}`
  }

  /** Returns the topic of a connector's retained status. */
  status(connector: string): string {
    return this.#statusPrefix + connector
  }

  /**
   * Returns the connector to which a status topic belongs; undefined if the topic is not a connector's status topic.
   */
  statusOwner(topic: string): string | undefined {
    if (!topic.startsWith(this.#statusPrefix)) return undefined
    const connector = topic.slice(this.#statusPrefix.length)
    return isCleanLevel(connector) ? connector : undefined
  }
}

function path(client: string, model: string, operation: string | undefined, id: string | undefined): string {
  const tail = operation === undefined ? '' : `/${operation}${id === undefined ? '' : `/${id}`}`
  return `${client}/${model}${tail}`
}

// `prefix` is `{root}/request/` or `{root}/cancel/`.
function parseTopic(topic: string, prefix: string): RequestTopic {
  if (!topic.startsWith(prefix)) {
    throw new Problem('bad_topic', `Topic "${shown(topic)}" does not begin with "${prefix}".`)
  }
  const levels = topic.slice(prefix.length).split('/')
  const [client = '', model = '', operation] = levels
  if (!isCleanLevel(client)) {
    throw new Problem(
      'bad_topic',
      `The client level of topic "${shown(topic)}" is empty, too long, or contains an invalid character.`,
    )
  }
  if (model === '' || operation === '') {
    const what = model === '' ? 'model' : 'operation'
    throw new Problem(
      'bad_topic',
      `The ${what} level of topic "${shown(topic)}" is empty; expected ${prefix}{client}/{model}[/{operation}[/{id}]].`,
    )
  }
  return { client, model, operation, id: levels.length > 3 ? levels.slice(3).join('/') : undefined }
}

// Makes a topic safe for an error message: truncates it, and replaces control characters.
function shown(topic: string): string {
  const text = topic.length > 200 ? `${topic.slice(0, 200)}…` : topic
  return text.replaceAll(new RegExp(CONTROL.source, 'g'), '\ufffd')
}
