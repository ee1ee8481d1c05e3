// The table of all problems that can occur with a request. It determines status, retry and log level.

/** The table entry of a problem code. */
export interface ProblemKind {
  /** HTTP-like status of the reply. `upstream_error` has the model server's status instead. */
  readonly status: number
  /** Whether the same request may succeed later without being changed. */
  readonly retryable: boolean
  /** Level of the connector's log line. */
  readonly log: 'debug' | 'info' | 'warn' | 'error'
  /** The condition, in one sentence for the reference page. */
  readonly meaning: string
  /** What the requester or the operator can do about it. */
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
    'The request was published with the Retain flag; the broker would send it to every new subscription.',
    'Publish requests without Retain, and clear the retained message with an empty retained publish.',
  ),
  unsupported_content_type: kind(
    415,
    false,
    'info',
    'The Content Type is not supported.',
    'Use application/json, or application/octet-stream with inference-header-content-length on V2.',
  ),
  payload_too_large: kind(
    413,
    false,
    'info',
    "The body is larger than the limit of the model or of the client's rules, or the properties exceed 64 KiB.",
    'Send a smaller request. The operator can raise `requestBytesMax` of the model or of the rule.',
  ),
  model_not_found: kind(
    404,
    false,
    'info',
    'This connector exposes no model with that name, or its policy hides the model from this client.',
    'List the models with `inferwire models ls`, or subscribe to {root}/models/#.',
  ),
  operation_not_supported: kind(
    405,
    false,
    'info',
    "The model does not offer that operation, or the connector's policy hides it from this client.",
    'Use an operation that the model card lists.',
  ),
  response_topic_forbidden: kind(
    403,
    false,
    'warn',
    "The Response Topic is not inside the client's own reply subtree, or is not a valid topic name.",
    'Use a topic inside {root}/reply/{client}/, or omit the Response Topic.',
  ),
  forbidden_model: kind(
    403,
    false,
    'warn',
    "The connector's policy denies this client the model or the operation, and `policy.showForbidden` is set.",
    'Ask the operator to add a rule to `policy.allow`; `inferwire policy test` finds the reason.',
  ),
  model_not_ready: kind(
    503,
    true,
    'warn',
    'The model server does not serve the model yet.',
    'Try again later. The operator can check the model server and the log line `model_not_ready`.',
  ),
  overloaded: kind(
    429,
    true,
    'warn',
    'The model, the client or the model server has reached its limit on the number or the rate of requests.',
    'Try again after `retry_after_ms`. The operator can raise the limits or add replicas.',
  ),
  deadline_exceeded: kind(
    504,
    true,
    'info',
    "The deadline passed (Message Expiry Interval, timeout-ms, the model's timeout, or a time limit in the model server's queue).",
    'Give the request more time, or find out why the model is slow.',
  ),
  maybe_executed: kind(
    409,
    true,
    'warn',
    'The request was redelivered and may have been executed already; the model has `repeatable: false`.',
    'Check whether the request had an effect, then decide whether to send it again.',
  ),
  cancelled: kind(499, false, 'debug', 'The client cancelled the request.', 'Nothing to do.'),
  upstream_unreachable: kind(
    502,
    true,
    'warn',
    'The model server could not be reached, or the connection was lost before the answer was complete.',
    'Try again later. The operator can check the address and the pod.',
  ),
  circuit_open: kind(
    503,
    true,
    'debug',
    'The model server failed several times in a row; it receives no calls until one trial request succeeds.',
    'Try again after `retry_after_ms`. The operator can check the log line `circuit_opened`.',
  ),
  upstream_error: kind(
    502,
    false,
    'info',
    'The model server answered with an error; the reply has its status and the part of its body that `models.*.errorText` allows.',
    "Read the model server's message.",
  ),
  upstream_invalid_response: kind(
    502,
    false,
    'warn',
    'The response is not from a model server (a web page, a redirect, or a malformed response).',
    "The operator can check the model's URL, its Host and the gateway in front of the model.",
  ),
  response_too_large: kind(
    502,
    false,
    'warn',
    'The answer exceeds the size limit of the model or of the broker.',
    "Request fewer outputs, or raise `limits.responseBytesMax` and the broker's max_packet_size.",
  ),
  unauthorized_upstream: kind(
    502,
    false,
    'error',
    "The gateway or the model server rejected the connector's credentials.",
    "The operator can read in the connector's log which gateway or server rejected the credentials, and why.",
  ),
  stream_interrupted: kind(
    502,
    true,
    'warn',
    'A stream was interrupted before its end, or the request was redelivered after the stream had begun.',
    'Send the request again.',
  ),
  internal: kind(
    500,
    true,
    'error',
    'A fault in the connector, or (`poison: true`) a request that was set aside because it crashed the connector each time.',
    "Try again unless the reply has `poison: true`, and report the connector's log line.",
  ),
} as const satisfies Record<string, ProblemKind>

/** A value of a reply's user property `code`. */
export type ProblemCode = keyof typeof PROBLEMS

/** The refusal of a gateway or a service mesh. */
export interface Refusal {
  /** Its name in the connector's table of refusals. */
  readonly name: string
  /** What the operator can do about it. */
  readonly remedy: string
}

/** Further details of a problem. */
export interface ProblemOptions {
  /** Overrides the table's status, for example with the model server's status for `upstream_error`. */
  readonly status?: number
  /** Time after which a retry may succeed, in milliseconds. */
  readonly retryAfterMs?: number
  /** For the operator's log only: addresses, header values, reasons. Never sent to the requester. */
  readonly detail?: string
  /** For the operator's log and metrics only: how a gateway refused the call. */
  readonly refusal?: Refusal
  /** The model server's error body, or the part of it that is sent, in place of the problem's own body. */
  readonly body?: Uint8Array
  /** Content type of `body`. */
  readonly contentType?: string
  /** Whether the request was set aside because it repeatedly crashed the connector. */
  readonly poison?: boolean
  /** The underlying error, for the log. */
  readonly cause?: unknown
}

/**
 * The only error class in the handling of a request. `message` is safe to send to the requester;
 * addresses and causes go into `detail` and `cause`, which stay in the log.
 */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly code: ProblemCode
  readonly status: number
  readonly retryable: boolean
  readonly retryAfterMs: number | undefined
  readonly detail: string | undefined
  readonly refusal: Refusal | undefined
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
    this.refusal = options.refusal
    this.body = options.body
    this.contentType = options.contentType
  }

  /** Turns any thrown value into a Problem; values of other types become `internal`. */
  static from(error: unknown): Problem {
    if (error instanceof Problem) return error
    return new Problem('internal', 'The connector failed while it handled this request.', {
      detail: error instanceof Error ? (error.stack ?? error.message) : String(error),
      cause: error,
    })
  }

  /** Returns the error body of the wire contract: KServe's `{"error": …}` with additional members. */
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

/** JSON body of an error reply. KServe clients read `error`. */
export interface ProblemBody {
  readonly error: string
  readonly code: ProblemCode
  readonly status: number
  readonly retryable: boolean
  /** Whether the request was set aside because it repeatedly crashed the connector. */
  readonly poison?: boolean
  readonly retry_after_ms?: number
}
