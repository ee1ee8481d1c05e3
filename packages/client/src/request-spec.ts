// Converts the arguments of infer() to a request: topics, Correlation Data and properties.
import {
  COALESCE_MS_MAX,
  isCleanLevel,
  isModelName,
  isPublishable,
  PROPERTY,
  type MessageProperties,
} from '@inferwire/protocol'
import { operationOf, toBytes, type RequestBody } from './body.ts'
import { InferwireError } from './error.ts'
import {
  milliseconds,
  randomHex,
  toHex,
  type InferOptions,
  type Settings,
  type StreamOptions,
} from './options.ts'
import type { RequestSpec } from './request.ts'

const TIMEOUT_DEFAULT_MS = 30_000
const REPEAT_AFTER_DEFAULT_MS = 5_000
const IDLE_TIMEOUT_DEFAULT_MS = 60_000
const CORRELATION_BYTES = 16
// The user property with the priority of a request.
const PRIORITY = 'priority'
// The operation level of the reply topic when the request topic has no operation.
const OPERATION_OF_CARD = 'default'
// The length of a UTF-8 string is stored in two bytes (MQTT 5 §1.5.4); a UTF-16 code unit takes at most three bytes.
const PROPERTY_LENGTH_MAX = 65_535 / 3

/** The options of a request, streamed or not. */
export type RequestOptions = InferOptions & Pick<StreamOptions, 'idleTimeoutMs'>

/**
 * Builds one request. `instance` separates the replies of clients that have the same user.
 * @throws TypeError for invalid options, InferwireError `bad_topic` for an invalid model name or operation
 */
export function toRequestSpec(
  settings: Settings,
  instance: string,
  model: string,
  body: RequestBody | undefined,
  options: RequestOptions,
): RequestSpec {
  const { protocolVersion } = settings.target
  const operation = options.operation ?? operationOf(body)
  if (!isModelName(model) || (operation !== undefined && !isCleanLevel(operation))) {
    throw new InferwireError(
      'bad_topic',
      `"${model}${operation === undefined ? '' : `/${operation}`}" cannot be part of a topic: use a model name such as iris, iris.namespace or iris@2.`,
      { model },
    )
  }
  if (protocolVersion === 4) refuseWhatNeedsMqtt5(operation, options)
  const correlationData = crypto.getRandomValues(new Uint8Array(CORRELATION_BYTES))
  const id = toHex(correlationData)
  const address = addressOf(settings, instance, id, model, operation)
  return {
    ...address,
    id,
    model,
    operation,
    payload: toBytes(body),
    properties:
      protocolVersion === 4
        ? {}
        : {
            correlationData,
            ...(operation === undefined ? { responseTopic: address.replyTopic } : {}),
            ...contentProperties(body, options),
          },
    timeoutMs: milliseconds('timeoutMs', options.timeoutMs ?? TIMEOUT_DEFAULT_MS),
    repeatAfterMs: repeatAfter(options.repeatAfterMs ?? REPEAT_AFTER_DEFAULT_MS),
    idleTimeoutMs: milliseconds('idleTimeoutMs', options.idleTimeoutMs ?? IDLE_TIMEOUT_DEFAULT_MS),
    waitForConnector: options.waitForConnector ?? false,
    signal: options.signal,
  }
}

/** Returns the topic filter for all replies of a client. */
export function replyFilterOf({ topics, identity }: Settings, instance: string): string {
  return `${topics.root}/reply/${identity}/+/+/${instance}/+`
}

/** Returns a random topic level that identifies one client among those of the same user. */
export function randomInstance(): string {
  return randomHex(8)
}

// On MQTT 5, too, the topic contains the id, and the reply is published to the derived topic. The reply arrives
// even if a bridge drops all properties (Mosquitto's default), or remaps the topic to another root but not the
// Response Topic.
function addressOf(
  { topics, identity }: Settings,
  instance: string,
  id: string,
  model: string,
  operation: string | undefined,
): Pick<RequestSpec, 'topic' | 'shownTopic' | 'replyTopic' | 'cancelTopic'> {
  const tail = `${instance}/${id}`
  // A topic without an operation has no level for the id. In this case, the Response Topic contains the id.
  const own = operation === undefined ? undefined : tail
  const topic = publishable(topics.request(identity, model, operation, own), model)
  const replyTopic = `${topics.root}/reply/${identity}/${model}/${operation ?? OPERATION_OF_CARD}/${tail}`
  return {
    topic,
    shownTopic: topics.request(identity, model, operation),
    replyTopic: publishable(replyTopic, model),
    cancelTopic: topics.cancel(identity, model, operation, own),
  }
}

function publishable(topic: string, model: string): string {
  if (isPublishable(topic)) return topic
  throw new InferwireError(
    'bad_topic',
    `"${topic.slice(0, 200)}" is not a valid topic name, or is too long.`,
    {
      model,
    },
  )
}

function contentProperties(
  body: RequestBody | undefined,
  { contentType, headers, priority, coalesceMs }: InferOptions,
): MessageProperties {
  // The connector uses the first value of a repeated name, so a header cannot override an option.
  const userProperties = [
    ...(priority === undefined ? [] : [PRIORITY, priorityDigit(priority)]),
    ...(coalesceMs === undefined ? [] : [PROPERTY.coalesceMs, String(wholeMilliseconds(coalesceMs))]),
    ...Object.entries(headers ?? {}).flat(),
  ]
  for (const text of [...userProperties, contentType ?? '']) {
    if (typeof text !== 'string' || text.length > PROPERTY_LENGTH_MAX || !isPropertyText(text)) {
      throw new TypeError('headers and contentType must be text without NUL, at most 21845 characters each.')
    }
  }
  return {
    // By default no content type is sent, because the contract assumes application/json.
    ...(contentType === undefined ? {} : { contentType }),
    ...(userProperties.length === 0 ? {} : { userProperties }),
    ...(body === undefined || body instanceof Uint8Array ? {} : { payloadFormatIndicator: 1 }),
  }
}

// MQTT 5 §1.5.4: no NUL and no unpaired surrogates.
function isPropertyText(text: string): boolean {
  return (
    !text.includes('\0') &&
    !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text)
  )
}

function priorityDigit(priority: string | number): string {
  const digit = String(priority)
  if (/^\d$/.test(digit)) return digit
  throw new TypeError(`priority is ${JSON.stringify(priority)}; expected a whole number from 0 to 9.`)
}

function wholeMilliseconds(coalesceMs: number): number {
  if (coalesceMs >= 0 && coalesceMs <= COALESCE_MS_MAX) return Math.ceil(coalesceMs)
  throw new TypeError(`coalesceMs is ${coalesceMs}; expected milliseconds from 0 to ${COALESCE_MS_MAX}.`)
}

function refuseWhatNeedsMqtt5(operation: string | undefined, options: InferOptions): void {
  const { headers, contentType, priority, coalesceMs } = options
  if (priority !== undefined || coalesceMs !== undefined) {
    throw new TypeError('priority and coalesceMs require MQTT 5 (mqttVersion: 5).')
  }
  const isJson = contentType === undefined || contentType === 'application/json'
  if (!isJson || Object.keys(headers ?? {}).length > 0) {
    throw new TypeError(
      'headers, and a contentType other than application/json, require MQTT 5 (mqttVersion: 5).',
    )
  }
  if (operation !== undefined) return
  throw new TypeError(
    'On MQTT 3.1.1 the topic must contain the operation: set the operation option, for example to predict or infer.',
  )
}

function repeatAfter(value: number): number {
  return value === Infinity ? value : milliseconds('repeatAfterMs', value)
}
