// Builds a model's card: the retained message by which clients discover the model.
import {
  CONTRACT_VERSION,
  operationOfBody,
  type Dialect,
  type ModelCard,
  type ModelState,
  type OperationName,
  type TensorMetadata,
  type TopicSpace,
} from '@inferwire/protocol'

/** The contents of a card. */
export interface CardFacts {
  readonly name: string
  readonly description?: string | undefined
  readonly state: ModelState
  /** Why the model is not ready, or what is wrong although it is. */
  readonly reason?: string | undefined
  readonly protocolVersions: readonly Dialect[]
  readonly operations: readonly OperationName[]
  readonly defaultOperation: OperationName
  readonly platform?: string | undefined
  readonly versions?: readonly string[] | undefined
  readonly inputs?: readonly TensorMetadata[] | undefined
  readonly outputs?: readonly TensorMetadata[] | undefined
  /** Content types that an operation accepts in addition to its dialect's own; may contain duplicates. */
  readonly contentTypes?: readonly string[] | undefined
  readonly requestBytesMax: number
  readonly responseBytesMax: number
  readonly timeoutMs: number
  /** The configured example. */
  readonly example?: { readonly operation?: string | undefined; readonly body?: unknown } | undefined
}

// Limit on the number of elements in a generated example; a longer example would not be readable.
const EXAMPLE_ELEMENTS_MAX = 256

/** Builds the card that is published on `{root}/models/{model}`. */
export function modelCard(topics: TopicSpace, facts: CardFacts): ModelCard {
  const example = exampleOf(facts)
  const contentTypes = [...new Set(facts.contentTypes)]
  const requestTopic = topics.request('{client}', facts.name, facts.defaultOperation)
  return {
    contract: CONTRACT_VERSION,
    name: facts.name,
    ...(facts.description === undefined ? {} : { description: facts.description }),
    state: facts.state,
    ...(facts.reason === undefined ? {} : { reason: facts.reason }),
    protocol_versions: facts.protocolVersions,
    operations: facts.operations,
    default_operation: facts.defaultOperation,
    ...(facts.platform === undefined ? {} : { platform: facts.platform }),
    ...(facts.versions === undefined || facts.versions.length === 0 ? {} : { versions: facts.versions }),
    ...(facts.inputs === undefined ? {} : { inputs: facts.inputs }),
    ...(facts.outputs === undefined ? {} : { outputs: facts.outputs }),
    ...(contentTypes.length === 0 ? {} : { content_types: contentTypes }),
    request_topic: requestTopic,
    reply_topic: requestTopic.replace(`${topics.root}/request/`, `${topics.root}/reply/`),
    limits: {
      request_bytes_max: facts.requestBytesMax,
      response_bytes_max: facts.responseBytesMax,
      timeout_ms: facts.timeoutMs,
    },
    ...(example === undefined ? {} : { example }),
  }
}

// Returns the configured example, or zeros in the shape of the inputs if the server described them.
function exampleOf(facts: CardFacts): ModelCard['example'] {
  if (facts.example?.body !== undefined) return operatorsExample(facts, facts.example.body)
  if (!facts.operations.includes('infer') || facts.inputs === undefined) return undefined
  const inputs = facts.inputs.map(({ name, datatype, shape }) => {
    const concrete = shape.map((size) => (size < 1 ? 1 : size))
    const elements = concrete.reduce((product, size) => product * size, 1)
    return { name, datatype, shape: concrete, elements, zero: zeroOf(datatype) }
  })
  if (inputs.some(({ elements, zero }) => elements > EXAMPLE_ELEMENTS_MAX || zero === undefined)) {
    return undefined
  }
  return {
    operation: 'infer',
    body: {
      id: '1',
      inputs: inputs.map(({ name, datatype, shape, elements, zero }) => ({
        name,
        datatype,
        shape,
        data: Array.from({ length: elements }, () => zero),
      })),
    },
  }
}

// A version may offer fewer operations than its model, so the example might not apply to the version.
function operatorsExample({ example, operations, defaultOperation }: CardFacts, body: unknown) {
  const named = example?.operation ?? operationOfBody(body) ?? defaultOperation
  const operation = operations.find((name) => name === named)
  return operation === undefined ? undefined : { operation, body }
}

// Returns undefined for FP16 and BF16, which have no JSON representation (Open Inference Protocol, "Tensor Data"), and
// for datatypes that the protocol does not define.
function zeroOf(datatype: string): number | string | boolean | undefined {
  if (datatype === 'BOOL') return false
  if (datatype === 'BYTES') return ''
  return /^(?:U?INT(?:8|16|32|64)|FP32|FP64)$/.test(datatype) ? 0 : undefined
}
