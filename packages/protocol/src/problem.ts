// Everything that can go wrong with a request, once: the table decides status, retry and log level.

/** What the table says about one problem code. */
export interface ProblemKind {
  /** HTTP-like status of the reply. `upstream_error` carries the model server's own status instead. */
  readonly status: number
  /** Whether the same request may succeed later without being changed. */
  readonly retryable: boolean
  /** Who has to act: this is the level of the connector's log line. */
  readonly log: 'debug' | 'info' | 'warn' | 'error'
  /** When it happens, in one sentence for the reference page. */
  readonly meaning: string
  /** What the requester or the operator can do. */
  readonly remedy: string
}

const kind = (
  status: number,
  retryable: boolean,
  log: ProblemKind['log'],
  meaning: string,
  remedy: string,
): ProblemKind => ({ status, retryable, log, meaning, remedy })

/** The problem table (wire contract, section "Bodies"). The order is the order of the reference page. */
export const PROBLEMS = {
  bad_topic: kind(
    400,
    false,
    'info',
    'The request topic does not follow {root}/request/{client}/{model}[/{operation}[/{id…}]].',
    'Check the topic with `inferwire topics explain TOPIC`.',
  ),
  bad_payload: kind(
    400,
    false,
    'info',
    'The body is empty, or is not a JSON object where one is needed.',
    'Publish the body that you would POST to the model server.',
  ),
  retained_request: kind(
    400,
    false,
    'warn',
    'The request was published with the Retain flag; it would be repeated to every new subscription.',
    'Publish requests without Retain, and clear the retained message with an empty retained publish.',
  ),
  unsupported_content_type: kind(
    415,
    false,
    'info',
    'The Content Type is not one that the model takes.',
    'Use application/json, or application/octet-stream with inference-header-content-length on V2.',
  ),
  payload_too_large: kind(
    413,
    false,
    'info',
    'The body is larger than the limit of the model, or the properties are larger than 64 KiB.',
    'Send less at once, or raise `limits.requestBytesMax` of the model.',
  ),
  model_not_found: kind(
    404,
    false,
    'info',
    'No model of that name is exposed here.',
    'List the models with `inferwire models ls`, or subscribe to {root}/models/#.',
  ),
  operation_not_supported: kind(
    405,
    false,
    'info',
    'The model does not offer that operation.',
    'The model card lists the operations.',
  ),
  response_topic_forbidden: kind(
    403,
    false,
    'warn',
    "The Response Topic is not inside the client's own reply subtree, or is not a valid topic name.",
    'Use a topic inside {root}/reply/{client}/, or leave the Response Topic out.',
  ),
  forbidden_model: kind(
    403,
    false,
    'warn',
    "The connector's policy does not let this client use this model, and `policy.showForbidden` is set.",
    'Ask the operator for a line in `policy.allow`.',
  ),
  model_not_ready: kind(
    503,
    true,
    'warn',
    'The model server does not serve the model yet.',
    'Try again later; the operator looks at `kubectl get inferenceservice`.',
  ),
  overloaded: kind(
    429,
    true,
    'warn',
    'The model, the client or the model server already has as many requests running and waiting as its limits allow.',
    'Try again after `retry_after_ms`; the operator raises the limits or adds replicas.',
  ),
  deadline_exceeded: kind(
    504,
    true,
    'info',
    'The deadline passed (Message Expiry Interval, timeout-ms, the timeout of the model, or a limit in the queue of the model server).',
    'Give the request more time, or look at why the model is slow.',
  ),
  maybe_executed: kind(
    409,
    true,
    'warn',
    'The request was delivered again and may have been executed before; the route says not to repeat it.',
    'Check the effect, then decide whether to send it again.',
  ),
  cancelled: kind(499, false, 'debug', 'The client cancelled the request.', 'Nothing to do.'),
  upstream_unreachable: kind(
    502,
    true,
    'warn',
    'The model server could not be reached, or the connection broke before the answer was complete.',
    'Try again later; the operator checks the address and the pod.',
  ),
  circuit_open: kind(
    503,
    true,
    'debug',
    'The model server failed several times in a row; it is not asked until one request that tries it succeeds.',
    'Try again after `retry_after_ms`; the operator looks at the log line `circuit_opened`.',
  ),
  upstream_error: kind(
    502,
    false,
    'info',
    'The model server answered with an error; the reply has its status, and of its body what `errorText` of the model lets out.',
    "Read the model server's message.",
  ),
  upstream_invalid_response: kind(
    502,
    false,
    'warn',
    'What answered is not a model server (a web page, a redirect, or a broken response).',
    'The operator checks the URL of the model, the Host and the gateway in front of it.',
  ),
  response_too_large: kind(
    502,
    false,
    'warn',
    'The answer is larger than the limit of the model, or than what the broker takes.',
    "Ask for fewer outputs, or raise `limits.responseBytesMax` and the broker's max_packet_size.",
  ),
  unauthorized_upstream: kind(
    502,
    false,
    'error',
    'The gateway or the model server refused the credentials of the connector.',
    "The operator looks at the connector's log, which says which guard refused and why.",
  ),
  stream_interrupted: kind(
    502,
    true,
    'warn',
    'A stream broke before its end, or the request was redelivered after it had begun.',
    'Send the request again.',
  ),
  internal: kind(
    500,
    true,
    'error',
    'A fault in the connector, or (`poison: true`) a request that ended it each time and was set aside.',
    'Try again unless it is poison, and report the log line of the connector.',
  ),
} as const satisfies Record<string, ProblemKind>

/** A code that a reply can carry in its user property `code`. */
export type ProblemCode = keyof typeof PROBLEMS

/** What else is known about a problem. */
export interface ProblemOptions {
  /** Overrides the status of the table: the model server's own, on `upstream_error`. */
  readonly status?: number
  /** When a retry makes sense, in milliseconds from now. */
  readonly retryAfterMs?: number
  /** For the operator's log only: addresses, header values, reasons. Never sent to the requester. */
  readonly detail?: string
  /** The model server's own error body, or what goes out of it, sent in place of ours. */
  readonly body?: Uint8Array
  /** Content type of `body`. */
  readonly contentType?: string
  /** The request was set aside because it ended the process each time. */
  readonly poison?: boolean
  /** The error underneath, for the log. */
  readonly cause?: unknown
}

/**
 * The one error class of the way of a request. `message` is safe to send to the requester;
 * addresses and causes go into `detail` and `cause`, which stay in the log.
 */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly code: ProblemCode
  readonly status: number
  readonly retryable: boolean
  readonly retryAfterMs: number | undefined
  readonly detail: string | undefined
  readonly body: Uint8Array | undefined
  readonly contentType: string | undefined
  readonly poison: boolean

  constructor(code: ProblemCode, message: string, options: ProblemOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    const table = PROBLEMS[code]
    this.code = code
    this.status = options.status ?? table.status
    this.poison = options.poison === true
    this.retryable = (table.retryable || options.retryAfterMs !== undefined) && !this.poison
    this.retryAfterMs = options.retryAfterMs
    this.detail = options.detail
    this.body = options.body
    this.contentType = options.contentType
  }

  /** Turns anything thrown into a Problem; what is not one already is a fault of ours (`internal`). */
  static from(error: unknown): Problem {
    if (error instanceof Problem) return error
    return new Problem('internal', 'The connector failed while it handled this request.', {
      detail: error instanceof Error ? (error.stack ?? error.message) : String(error),
      cause: error,
    })
  }

  /** The error body of the wire contract: KServe's own `{"error": …}` with more in it. */
  toBody(): ProblemBody {
    return {
      error: this.message,
      code: this.code,
      status: this.status,
      retryable: this.retryable,
      ...(this.poison ? { poison: true } : {}),
      ...(this.retryAfterMs === undefined ? {} : { retry_after_ms: this.retryAfterMs }),
    }
  }
}

/** An error reply's JSON body. `error` is what KServe clients read. */
export interface ProblemBody {
  readonly error: string
  readonly code: ProblemCode
  readonly status: number
  readonly retryable: boolean
  /** Sent again, it would end the connector again: it was set aside. */
  readonly poison?: boolean
  readonly retry_after_ms?: number
}
