// The operations that a request topic can name. The dialects define their HTTP requests.

/** The properties that an operation has in every dialect. */
export interface OperationKind {
  /** Whether the request has a body for the model server. */
  readonly hasBody: boolean
  readonly meaning: string
}

/**
 * Operations by name (wire contract, section "Topics").
 * Sources: KServe V1 data plane, Open Inference Protocol REST, Triton's generate extension, MLServer, OpenAI API.
 */
export const OPERATIONS = {
  predict: { hasBody: true, meaning: 'V1 prediction' },
  explain: { hasBody: true, meaning: 'V1 explanation' },
  infer: { hasBody: true, meaning: 'V2 inference' },
  infer_stream: { hasBody: true, meaning: 'V2 inference with a streamed answer' },
  generate: { hasBody: true, meaning: 'Text generation' },
  chat: { hasBody: true, meaning: 'Chat completion' },
  completions: { hasBody: true, meaning: 'Text completion' },
  embeddings: { hasBody: true, meaning: 'Embeddings of texts' },
  metadata: { hasBody: false, meaning: 'Model metadata' },
  ready: { hasBody: false, meaning: 'Model readiness' },
} as const satisfies Record<string, OperationKind>

/** The name of an operation. */
export type OperationName = keyof typeof OPERATIONS

/** Whether a topic level names an operation. */
export function isOperationName(name: string): name is OperationName {
  return Object.hasOwn(OPERATIONS, name)
}
