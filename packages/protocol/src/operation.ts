// The operations that a request topic can name, and what each asks of a model server.

/** The protocols that Inferwire speaks to a model server today. */
export type InferenceProtocol = 'v1' | 'v2'

/** What an operation needs. */
export interface OperationKind {
  /** The protocols that offer it; the first one that the model speaks is used. */
  readonly protocols: readonly InferenceProtocol[]
  /** Whether the request carries a body for the model server. */
  readonly hasBody: boolean
  readonly meaning: string
}

/**
 * Operations by name (wire contract, section "Topics").
 * Sources: KServe V1 data plane, Open Inference Protocol REST.
 */
export const OPERATIONS = {
  predict: { protocols: ['v1'], hasBody: true, meaning: 'V1 prediction: POST /v1/models/{model}:predict' },
  explain: { protocols: ['v1'], hasBody: true, meaning: 'V1 explanation: POST /v1/models/{model}:explain' },
  infer: { protocols: ['v2'], hasBody: true, meaning: 'V2 inference: POST /v2/models/{model}/infer' },
  metadata: {
    protocols: ['v2', 'v1'],
    hasBody: false,
    meaning: 'What the model is: GET /v2/models/{model}, or GET /v1/models/{model}',
  },
  ready: {
    protocols: ['v2', 'v1'],
    hasBody: false,
    meaning: 'Whether it can answer: GET /v2/models/{model}/ready, or GET /v1/models/{model}',
  },
} as const satisfies Record<string, OperationKind>

/** The name of an operation. */
export type OperationName = keyof typeof OPERATIONS

/** Whether a topic level names an operation. */
export function isOperationName(name: string): name is OperationName {
  return Object.hasOwn(OPERATIONS, name)
}

/** The operations that a model offers which speaks these protocols, in the order of the table. */
export function operationsOf(protocols: readonly InferenceProtocol[]): OperationName[] {
  return (Object.keys(OPERATIONS) as OperationName[]).filter((name) =>
    OPERATIONS[name].protocols.some((protocol) => protocols.includes(protocol)),
  )
}

/** The operation used when the topic names none: V2 `infer` where the model speaks V2, else V1 `predict`. */
export function defaultOperationOf(protocols: readonly InferenceProtocol[]): OperationName {
  return protocols.includes('v2') ? 'infer' : 'predict'
}
