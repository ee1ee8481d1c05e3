// Error responses of real model servers, recorded with curl from Triton 2.51.0, MLServer 1.7.1 and the KServe server
// 0.21.0. Triton and MLServer had a model that loads slowly and a model that raises an exception; Triton also had a
// model with `max_queue_size: 1`. The traceback is shortened and its paths are changed. Entries marked "source" come
// from the server's source code.

/** A recorded HTTP response. */
export interface RecordedAnswer {
  readonly server: 'Triton' | 'MLServer' | 'KServe' | 'Knative' | 'Envoy'
  readonly what: string
  readonly status: number
  readonly contentType: string | undefined
  readonly body: string
}

const JSON_TYPE = 'application/json'
const TEXT_TYPE = 'text/plain; charset=utf-8'

const answer = (
  server: RecordedAnswer['server'],
  what: string,
  status: number,
  contentType: string | undefined,
  body: string,
): RecordedAnswer => ({ server, what, status, contentType, body })

const error = (
  server: RecordedAnswer['server'],
  what: string,
  status: number,
  text: string,
  contentType = JSON_TYPE,
): RecordedAnswer => answer(server, what, status, contentType, JSON.stringify({ error: text }))

// Triton labels most of its JSON errors as text/plain.
const triton = (what: string, status: number, text: string): RecordedAnswer =>
  error('Triton', what, status, text, 'text/plain')

/** Answers to a request for a model that is not loaded yet. */
export const LOADING: readonly RecordedAnswer[] = [
  triton('before the model is known', 404, "Request for unknown model: 'late' is not found"),
  triton('an unknown version', 404, "Request for unknown model: 'late' version 9 is not found"),
  triton('while it loads or unloads', 404, "Request for unknown model: 'late' has no available versions"),
  triton('while a version loads', 503, "Request for unknown model: 'late' version 1 is not at ready state"),
  triton('the operation ready', 400, 'Model version not ready'),
  error('MLServer', 'while it loads', 400, 'Model late is not ready yet.'),
  error('MLServer', 'while a version loads', 400, 'Model late with version v1 is not ready yet.'),
  error('MLServer', 'an unknown model', 404, 'Model late not found'),
  error('MLServer', 'an unknown version', 404, 'Model late with version v9 not found'),
  error('KServe', 'while it loads', 503, 'Model with name late is not ready.'),
]

/** KServe registers its models before it listens, so a model that is unknown to it will never be served. */
export const UNKNOWN = error(
  'KServe',
  'a model that did not load',
  404,
  'Model with name late does not exist.',
)

/** MLServer's answer to `ready` while the model loads. */
export const NOT_READY_EMPTY = answer('MLServer', 'ready', 400, undefined, '')

/** Responses of overloaded servers and gateways. */
export const FULL: readonly RecordedAnswer[] = [
  error('Triton', 'queue full', 503, '[request id: <id_unknown>] Exceeds maximum queue size'),
  error('Triton', 'queue full, request with an id', 503, '[request id: q3] Exceeds maximum queue size'),
  error('Triton', 'queue full, older', 503, 'Exceeds maximum queue size'),
  answer('Knative', 'queue full (source)', 503, TEXT_TYPE, 'pending request queue full'),
]

/** Triton's answer to a request that waited longer than its parameter `timeout`. */
export const EXPIRED = triton('timeout in the queue', 503, 'Request timeout expired')

/** The answer of MLServer 1.7.1, with its default `debug: true`, if a model raises an exception. */
export const TRACEBACK = answer(
  'MLServer',
  'the model raises',
  500,
  TEXT_TYPE,
  `Traceback (most recent call last):
  File "/opt/mlserver/lib/python3.11/site-packages/starlette/middleware/errors.py", line 165, in __call__
    await self.app(scope, receive, _send)
  File "/opt/mlserver/lib/python3.11/site-packages/mlserver_sklearn/sklearn.py", line 49, in predict
    outputs=self._predict_outputs(payload),
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
ValueError: X has 2 features, but LogisticRegression is expecting 4 features as input.
`,
)

/** Triton's answer if a Python model raises an exception. */
export const MODEL_RAISED = triton(
  'the model raises',
  500,
  "Failed to process the request(s) for model 'addsub_0_0', message: RuntimeError: boom\n\nAt:\n  /models/addsub/1/model.py(11): execute\n",
)
