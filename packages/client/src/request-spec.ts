// infer()'s arguments -> the request on the wire: topics, correlation, properties.
import { isCleanLevel, isModelName, isPublishable, type MessageProperties } from '@inferwire/protocol'
import { operationOf, toBytes, type RequestBody } from './body.ts'
import { InferwireError } from './error.ts'
import { milliseconds, randomHex, toHex, type InferOptions, type Settings } from './options.ts'
import type { RequestSpec } from './request.ts'

const TIMEOUT_DEFAULT_MS = 30_000
const REPEAT_AFTER_DEFAULT_MS = 5_000
const CORRELATION_BYTES = 16
// The level of a Response Topic where the card decides the operation.
const OPERATION_OF_CARD = 'default'
// A UTF-8 string on the wire has two bytes for its length (MQTT 5 §1.5.4); a character has at most three bytes here.
const PROPERTY_LENGTH_MAX = 65_535 / 3

/**
 * Builds one request. `instance` keeps the replies of two clients of one user apart.
 * @throws TypeError for options that cannot be sent, InferwireError `bad_topic` for a model that cannot be named
 */
export function toRequestSpec(
  settings: Settings,
  instance: string,
  model: string,
  body: RequestBody | undefined,
  options: InferOptions,
): RequestSpec {
  const { protocolVersion } = settings.target
  const operation = options.operation ?? operationOf(body)
  if (!isModelName(model) || (operation !== undefined && !isCleanLevel(operation))) {
    throw new InferwireError(
      'bad_topic',
      `"${model}${operation === undefined ? '' : `/${operation}`}" cannot be part of a topic: a model is named like iris, iris.namespace or iris@2.`,
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
    waitForConnector: options.waitForConnector ?? false,
    signal: options.signal,
  }
}

/** The one subscription for all replies of a client. */
export function replyFilterOf({ topics, identity }: Settings, instance: string): string {
  return `${topics.root}/reply/${identity}/+/+/${instance}/+`
}

/** A name of one client among those of the same user. */
export function randomInstance(): string {
  return randomHex(8)
}

// The id stands in the topics on MQTT 5 too, and the reply comes on the derived topic: that still works where a bridge
// drops all properties (Mosquitto's does by default), or maps the request to another root without its Response Topic.
function addressOf(
  { topics, identity }: Settings,
  instance: string,
  id: string,
  model: string,
  operation: string | undefined,
): Pick<RequestSpec, 'topic' | 'shownTopic' | 'replyTopic' | 'cancelTopic'> {
  const tail = `${instance}/${id}`
  // A topic without an operation has no place for an id; there the Response Topic has it.
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
  throw new InferwireError('bad_topic', `"${topic.slice(0, 200)}" is not a topic name, or too long.`, {
    model,
  })
}

function contentProperties(
  body: RequestBody | undefined,
  { contentType, headers }: InferOptions,
): MessageProperties {
  const userProperties = Object.entries(headers ?? {}).flat()
  for (const text of [...userProperties, contentType ?? '']) {
    if (typeof text !== 'string' || text.length > PROPERTY_LENGTH_MAX || !isPropertyText(text)) {
      throw new TypeError('headers and contentType must be text without NUL, at most 21845 characters each.')
    }
  }
  return {
    // application/json is what the contract assumes; saying so would cost bytes in every request.
    ...(contentType === undefined ? {} : { contentType }),
    ...(userProperties.length === 0 ? {} : { userProperties }),
    ...(body === undefined || body instanceof Uint8Array ? {} : { payloadFormatIndicator: 1 }),
  }
}

// MQTT 5 §1.5.4: no NUL, and no surrogates without their other half.
function isPropertyText(text: string): boolean {
  return (
    !text.includes('\0') &&
    !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text)
  )
}

function refuseWhatNeedsMqtt5(operation: string | undefined, { headers, contentType }: InferOptions): void {
  const isJson = contentType === undefined || contentType === 'application/json'
  if (!isJson || Object.keys(headers ?? {}).length > 0) {
    throw new TypeError('headers and a contentType other than application/json need MQTT 5 (mqttVersion: 5).')
  }
  if (operation !== undefined) return
  throw new TypeError('On MQTT 3.1.1 the topic must name the operation: give one, such as predict or infer.')
}

function repeatAfter(value: number): number {
  return value === Infinity ? value : milliseconds('repeatAfterMs', value)
}
